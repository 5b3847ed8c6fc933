// Command gw is the gateway: its two processes and the commands around them.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// exitError ends the program with a code of its own; its text was printed
// already when it is empty.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

func main() {
	err := rootCommand().Execute()
	if err == nil {
		return
	}
	code := 1
	var exit *exitError
	if errors.As(err, &exit) {
		code = exit.code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(os.Stderr, "gw: "+text)
	}
	os.Exit(code)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "gw",
		Short: "Sluice, an API gateway that takes the place of Apache APISIX",
		Long: `Sluice is an API gateway that takes the place of Apache APISIX: same etcd data,
same config.yaml, same Admin API.

Without any configuration "gw run" starts with an etcd of its own and listens on
9080 (traffic), 127.0.0.1:9180 (Admin API), 127.0.0.1:9090 (control API) and
127.0.0.1:9091 (metrics).`,
		Example: `  gw run                     start here, with defaults
  gw run -c config.yaml      start with a configuration
  gw test -c config.yaml     check a configuration
  gw status                  what runs, and how it does`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version(),
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		runCommand(), startCommand(), testCommand(), reloadCommand(), syncCommand(), stopCommand(), quitCommand(), restartCommand(),
		explainCommand(), lintCommand(), doctorCommand(), pluginsCommand(),
		historyCommand(), diffCommand(), rollbackCommand(),
		statusCommand(), versionCommand(), initCommand(), initEtcdCommand(), sampleCommand(), buildCommand(), dataCommand(),
	)
	return root
}

// configFlag adds -c to a command.
func configFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("config", "c", "", "path of config.yaml; without it conf/config.yaml is read if there is one, else all settings have their defaults")
}
