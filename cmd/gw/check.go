package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
)

// checkResources reads apisix.yaml or apisix.json and names every object that
// would be refused.
func checkResources(cmd *cobra.Command, s *conf.Settings, path string) error {
	doc, err := store.ReadDocument(path, os.LookupEnv)
	if err != nil {
		return err
	}
	ring, err := newKeyring(s)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	bad := len(doc.Problems)
	for _, p := range doc.Problems {
		fmt.Fprintf(out, "%s: %s\n", path, p.Error())
	}
	check := storeCheck(s, newPluginSet(s), ring)
	for i := range doc.Items {
		item := &doc.Items[i]
		_, warnings, err := check(&conf.Object{Kind: item.Kind, ID: item.ID, Value: item.Value})
		if err != nil {
			bad++
			fmt.Fprintf(out, "%s: line %d: %s %s: %s\n", path, item.Line, item.Kind, item.ID, err)
		}
		for _, w := range warnings {
			fmt.Fprintf(out, "notice: %s: line %d: %s %s: %s\n", path, item.Line, item.Kind, item.ID, w)
		}
	}
	if bad > 0 {
		return fmt.Errorf("%s: %d of %d objects are not usable", path, bad, len(doc.Items)+len(doc.Problems))
	}
	return nil
}
