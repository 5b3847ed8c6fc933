package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/proc"
	"github.com/sluicegw/sluice/core/store/journal"
)

func historyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history [OBJECT]",
		Short: "Show who changed what and when",
		Long: `Shows the recorded changes of the configuration, the newest first. OBJECT limits
it to a collection ("routes") or one object ("routes/1").`,
		Example: `  gw history
  gw history routes/1 -n 5
  gw history --since 24h`,
		Args: cobra.MaximumNArgs(1),
	}
	flag := configFlag(cmd)
	limit := cmd.Flags().IntP("limit", "n", 20, "at most so many changes")
	since := cmd.Flags().Duration("since", 0, "only changes of that time")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, _, err := conf.LoadSettings(configPath(*flag))
		if err != nil {
			return err
		}
		f := journal.Filter{Limit: *limit}
		if *since > 0 {
			f.Since = time.Now().Add(-*since)
		}
		if len(args) > 0 {
			if f.Kind, f.ID, err = parseObject(args[0]); err != nil {
				return err
			}
		}
		found, err := journal.History(journalConfig(s), f)
		if err != nil {
			return err
		}
		printHistory(cmd.OutOrStdout(), &found)
		return nil
	}
	return cmd
}

// parseObject reads "routes" or "routes/1".
func parseObject(text string) (conf.Kind, string, error) {
	dir, id, _ := strings.Cut(strings.Trim(text, "/"), "/")
	if dir == conf.KindConsumer.Dir() && strings.Contains(id, "/credentials/") {
		return conf.KindCredential, id, nil
	}
	kind := kindOfDir(dir)
	if kind == conf.KindNone {
		return 0, "", fmt.Errorf("%q is not a collection such as routes, or an object such as routes/1", text)
	}
	return kind, id, nil
}

func printHistory(out io.Writer, found *journal.Found) {
	for i := range found.Entries {
		e := &found.Entries[i]
		ch := journal.Change{Before: e.Before, After: e.After}
		what := action(&ch)
		if e.Withheld {
			what = "change"
		}
		fmt.Fprintf(out, "%s  revision %d  %s %s/%s  %s\n", e.At.Local().Format(time.DateTime), e.Rev, what, e.Kind.Dir(), e.ID, author(e.Actor))
	}
	if found.More {
		fmt.Fprintln(out, "... and older ones (--limit)")
	}
	if found.Damaged > 0 {
		fmt.Fprintf(out, "%d entries are damaged and left out\n", found.Damaged)
	}
}

func author(a journal.Actor) string {
	text := a.Name
	if a.Addr != "" {
		text += " from " + a.Addr
	}
	switch {
	case a.Via == "" && text == "":
		return "(written to the store directly)"
	case text == "":
		return "(" + a.Via + ")"
	case a.Via != "":
		return text + " (" + a.Via + ")"
	}
	return text
}

func diffCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff FROM [TO]",
		Short: "Show what changed between two revisions",
		Long: `Shows the objects that differ between two revisions of the configuration, with
their texts. Without TO the newest revision is taken.`,
		Example: `  gw diff 120
  gw diff 120 134`,
		Args: cobra.RangeArgs(1, 2),
	}
	flag := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, _, err := conf.LoadSettings(configPath(*flag))
		if err != nil {
			return err
		}
		var revs [2]int64
		for i, text := range args {
			if revs[i], err = revision(text); err != nil {
				return err
			}
		}
		changes, err := journal.Diff(journalConfig(s), revs[0], revs[1])
		if err != nil {
			return err
		}
		for i := range changes {
			printChange(cmd.OutOrStdout(), &changes[i])
		}
		return nil
	}
	return cmd
}

func revision(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a revision: `gw history` shows them", text)
	}
	return n, nil
}

func printChange(out io.Writer, ch *journal.Change) {
	fmt.Fprintf(out, "%s %s/%s at revision %d\n", action(ch), ch.Kind.Dir(), ch.ID, ch.Rev)
	before, after := lines(ch.Before), lines(ch.After)
	was, is := lineSet(before), lineSet(after)
	for _, l := range before {
		if !is[l] {
			fmt.Fprintf(out, "  - %s\n", l)
		}
	}
	for _, l := range after {
		if !was[l] {
			fmt.Fprintf(out, "  + %s\n", l)
		}
	}
}

// lines is a JSON text with a line for each value, so that what stayed is
// easily left out.
func lines(value []byte) []string {
	if value == nil {
		return nil
	}
	var buf bytes.Buffer
	if json.Indent(&buf, value, "", "  ") != nil {
		return []string{string(value)}
	}
	list := strings.Split(buf.String(), "\n")
	for i := range list {
		list[i] = strings.TrimSuffix(list[i], ",")
	}
	return list
}

func lineSet(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, l := range list {
		set[l] = true
	}
	return set
}

func rollbackCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollback REVISION",
		Short: "Bring the configuration back to how it was at a revision",
		Long: `Writes the objects to etcd as they were at the revision, in one transaction where
etcd's limit allows it. It fails if an object was changed by somebody else
meanwhile. The rollback is a change like any other: it can be rolled back too.`,
		Example: `  gw rollback 120 --dry-run
  gw rollback 120`,
		Args: cobra.ExactArgs(1),
	}
	flag := configFlag(cmd)
	dry := cmd.Flags().Bool("dry-run", false, "show what would change and write nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := runDirOf(*flag)
		if err != nil {
			return err
		}
		rev, err := revision(args[0])
		if err != nil {
			return err
		}
		order, err := json.Marshal(rollbackOrder{Rev: rev, DryRun: *dry})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var result rollbackResult
		if err := proc.AskJSON(ctx, dir, askRollback, order, &result); err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		for _, ch := range result.Changes {
			fmt.Fprintf(out, "%s %s\n", ch.Action, ch.Object)
		}
		switch {
		case len(result.Changes) == 0:
			fmt.Fprintf(out, "nothing differs from revision %d\n", rev)
		case !*dry:
			fmt.Fprintf(out, "written at revision %d\n", result.Rev)
		}
		return nil
	}
	return cmd
}
