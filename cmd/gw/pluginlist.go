package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sluicegw/sluice/core/chain"
)

// builtin is what `gw plugins` says of a plugin. Its phases are not there: an
// instance has them, as its configuration makes it.
type builtin struct {
	Name     string `json:"name"`
	Priority int    `json:"priority"`
	Version  string `json:"version"`
	// Auth: it finds the request's consumer.
	Auth bool `json:"auth"`
	// Endpoints are the paths that it answers itself, through public-api.
	Endpoints []string `json:"endpoints,omitempty"`
}

func pluginsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugins",
		Short: "List the plugins that are built in, in the order in which they run",
		Example: `  gw plugins
  gw plugins --json`,
		Args: cobra.NoArgs,
	}
	asJSON := cmd.Flags().Bool("json", false, "print the list as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list := builtins()
		if !*asJSON {
			return printPlugins(cmd.OutOrStdout(), list)
		}
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		return enc.Encode(list)
	}
	return cmd
}

func builtins() []builtin {
	list := []builtin{}
	for _, p := range chain.All() {
		b := builtin{Name: p.Name, Priority: p.Priority, Version: p.Version, Auth: p.Auth}
		for i := range p.APIs {
			b.Endpoints = append(b.Endpoints, p.APIs[i].Path)
		}
		list = append(list, b)
	}
	return list
}

func printPlugins(out io.Writer, list []builtin) error {
	w := tabwriter.NewWriter(out, 2, 0, 2, ' ', 0)
	fmt.Fprintf(w, "name\tpriority\tversion\tnotes\n")
	for _, p := range list {
		var notes []string
		if p.Auth {
			notes = append(notes, "authentication")
		}
		if len(p.Endpoints) > 0 {
			notes = append(notes, "answers "+strings.Join(p.Endpoints, " "))
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", p.Name, p.Priority, p.Version, strings.Join(notes, ", "))
	}
	return w.Flush()
}
