package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func buildCommand() *cobra.Command {
	var with []string
	var source, out string
	cmd := &cobra.Command{
		Use:   "build --with MODULE[@VERSION][=DIR] ...",
		Short: "Compile a gateway with plugins of your own",
		Long: `Compile a gateway that has plugins from other Go modules built in. A module
registers its plugins when it is imported (see docs/writing-a-plugin.md). Needs
Go and the gateway's source, which is not changed.

With =DIR the module is taken from a directory instead of being downloaded.`,
		Example: `  gw build --with example.com/gw-hello@v1.2.0 -o bin/gw
  gw build --with example.com/gw-hello=../gw-hello --source ~/src/sluice`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(with) == 0 {
				return fmt.Errorf("name at least one module with --with")
			}
			return buildWith(cmd, source, out, with)
		},
	}
	cmd.Flags().StringArrayVar(&with, "with", nil, "module that registers plugins, MODULE[@VERSION][=DIR]; repeatable")
	cmd.Flags().StringVar(&source, "source", ".", "directory of the gateway's source")
	cmd.Flags().StringVarP(&out, "output", "o", "gw", "binary to write")
	return cmd
}

// buildWith compiles the source with one more file, which imports the modules,
// laid over it, and with a go.mod of its own: the source stays as it is.
func buildWith(cmd *cobra.Command, source, out string, with []string) error {
	source, err := filepath.Abs(source)
	if err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(source, "go.mod"))
	if err != nil || !strings.Contains(string(mod), "module github.com/sluicegw/sluice\n") {
		return fmt.Errorf("%s is not the gateway's source: give its directory with --source", source)
	}
	if out, err = filepath.Abs(out); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gw-build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	modfile := filepath.Join(dir, "go.mod")
	if err := os.WriteFile(modfile, mod, 0o600); err != nil {
		return err
	}
	if sum, err := os.ReadFile(filepath.Join(source, "go.sum")); err == nil {
		if err := os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o600); err != nil {
			return err
		}
	}
	run := func(args ...string) error {
		c := exec.Command("go", args...)
		c.Dir, c.Stdout, c.Stderr = source, cmd.OutOrStdout(), cmd.ErrOrStderr()
		if err := c.Run(); err != nil {
			return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
		}
		return nil
	}
	imports := "package main\n\nimport (\n"
	for _, w := range with {
		name, path, local := strings.Cut(w, "=")
		module, version, _ := strings.Cut(name, "@")
		imports += fmt.Sprintf("\t_ %q\n", module)
		if local {
			if path, err = filepath.Abs(path); err != nil {
				return err
			}
			if err := run("mod", "edit", "-require", module+"@v0.0.0", "-replace", module+"="+path, modfile); err != nil {
				return err
			}
			continue
		}
		if version == "" {
			version = "latest"
		}
		if err := run("get", "-modfile", modfile, module+"@"+version); err != nil {
			return err
		}
	}
	// The modules themselves require the gateway; what they mean is this source.
	extra := filepath.Join(dir, "with.go")
	if err := os.WriteFile(extra, []byte(imports+")\n"), 0o600); err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(source, "cmd", "gw", "with.go"): extra}})
	if err != nil {
		return err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return err
	}
	return run("build", "-mod=mod", "-modfile", modfile, "-overlay", list, "-trimpath", "-o", out, "./cmd/gw")
}
