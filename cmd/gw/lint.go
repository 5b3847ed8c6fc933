package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/lint"
	"github.com/sluicegw/sluice/core/proc"
)

// lintPatience bounds a look at the running configuration.
const lintPatience = 30 * time.Second

// askLint is the question of `gw lint`; the control process answers it.
const askLint = "lint"

func lintCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Find what is valid and still probably wrong",
		Long: `Finds routes that never serve or that only their ids order, objects that nothing
uses, references to nothing, settings that hurt, and patterns and variables that
do not do what they seem to.

The running gateway's configuration is looked at; with --file that of an
apisix.yaml or apisix.json, with --etcd what is in etcd, both with the settings
of config.yaml.

The exit code is 1 when there is an error or a warning (--fail-on says
otherwise).`,
		Example: `  gw lint
  gw lint --file conf/apisix.yaml --fail-on error
  gw lint --etcd -c config.yaml --json`,
		Args: cobra.NoArgs,
	}
	flag := configFlag(cmd)
	f := cmd.Flags()
	file := f.String("file", "", "look at the objects of this file")
	etcd := f.Bool("etcd", false, "look at the objects in etcd")
	failOn := f.String("fail-on", "warning", "the least severity that makes the exit code 1: hint, warning, error or none")
	least := f.String("show", "hint", "the least severity that is shown: hint, warning or error")
	asJSON := f.Bool("json", false, "print the findings as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var limit, shown lint.Severity
		if err := shown.UnmarshalText([]byte(*least)); err != nil {
			return err
		}
		if *failOn == "none" {
			limit = lint.Error + 1
		} else if err := limit.UnmarshalText([]byte(*failOn)); err != nil {
			return err
		}
		s, _, err := conf.LoadSettings(configPath(*flag))
		if err != nil {
			return err
		}
		found, err := findings(cmd.Context(), s, *file, *etcd)
		if err != nil {
			return err
		}
		worst, any := lint.Worst(found)
		show := []lint.Finding{}
		for i := range found {
			if found[i].Severity >= shown {
				show = append(show, found[i])
			}
		}
		if *asJSON {
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			err = enc.Encode(show)
		} else {
			err = lint.WriteText(cmd.OutOrStdout(), show)
		}
		if err == nil && any && worst >= limit {
			err = &exitError{code: 1}
		}
		return err
	}
	return cmd
}

func findings(ctx context.Context, s *conf.Settings, file string, etcd bool) ([]lint.Finding, error) {
	var h *atHand
	var err error
	switch {
	case file != "":
		h, err = readFile(s, file)
	case etcd:
		h, err = readEtcd(ctx, s)
	default:
		return lintRunning(ctx, s)
	}
	if err != nil {
		return nil, err
	}
	objects := make([]lint.Object, len(h.filled))
	for i := range h.filled {
		objects[i] = lint.Object{Object: h.filled[i], Refused: h.refused[i], Warnings: h.warnings[i]}
		if h.lines != nil {
			objects[i].Line = h.lines[i]
		}
	}
	found := lint.Run(lintOptions(s, newPluginSet(s)), objects)
	var all []lint.Finding
	for _, p := range h.problems {
		all = append(all, lint.Finding{Rule: "refused", Severity: lint.Error, Text: p})
	}
	return append(all, found...), nil
}

func lintRunning(ctx context.Context, s *conf.Settings) ([]lint.Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, lintPatience)
	defer cancel()
	var found []lint.Finding
	err := proc.AskJSON(ctx, s.Sluice.RunDir, askLint, nil, &found)
	if errors.Is(err, proc.ErrNoControl) {
		return nil, fmt.Errorf("%w: start it, or name a source with --file or --etcd", err)
	}
	return found, err
}

func lintOptions(s *conf.Settings, set *pluginSet) lint.Options {
	return lint.Options{
		Match: matchOptions(s), EncodedSlash: s.APISIX.MatchURIEncodedSlash,
		Known: func(name string) bool { return chain.Lookup(name) != nil && !set.Disabled(name, false) },
	}
}

// lint looks at the whole configuration that the control process has.
func (c *control) lint() ([]byte, error) {
	var objects []lint.Object
	status := c.feed.Status()
	refused := make(map[proc.Key]string, len(status.Refused))
	for _, r := range append(status.Refused, c.table.Refused()...) {
		refused[proc.Key{Kind: r.Kind, ID: r.ID}] = r.Reason
	}
	for kind := conf.KindNone + 1; kind < conf.NumKinds; kind++ {
		for _, o := range c.table.List(kind) {
			key := proc.Key{Kind: o.Kind, ID: o.ID}
			objects = append(objects, lint.Object{Object: o, Refused: refused[key], Warnings: c.feed.Warnings(key)})
			delete(refused, key)
		}
	}
	for key, why := range refused {
		objects = append(objects, lint.Object{Object: conf.Object{Kind: key.Kind, ID: key.ID}, Refused: why})
	}
	return json.Marshal(lint.Run(lintOptions(c.settings.Load(), c.plugins), objects))
}
