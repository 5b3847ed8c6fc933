package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/proc"
)

const statusTimeout = 5 * time.Second

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what runs and how it does",
		Long: `Shows the processes and loops, the source of the configuration, and what is
served. The exit code is 0 when the gateway is ready, 1 when it runs and is not,
3 when it does not run.`,
		Example: `  gw status
  gw status -c config.yaml --json`,
		Args: cobra.NoArgs,
	}
	flag := configFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print everything as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, err := runDirOf(*flag)
		if err != nil {
			return err
		}
		return showStatus(cmd.OutOrStdout(), dir, *asJSON)
	}
	return cmd
}

// runDirOf is the run directory of the configuration.
func runDirOf(flag string) (string, error) {
	s, _, err := conf.LoadSettings(configPath(flag))
	if err != nil {
		return "", err
	}
	return s.Sluice.RunDir, nil
}

func showStatus(out io.Writer, dir string, asJSON bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	raw, err := proc.Ask(ctx, dir, askStatus, nil)
	if errors.Is(err, proc.ErrNoControl) {
		text := "the gateway does not run (run directory " + dir + ")"
		if pids := proc.Orphans(dir); len(pids) > 0 {
			text = fmt.Sprintf("the control process does not run; data process %d serves on: start the gateway again and it is taken over", pids[0])
		}
		return &exitError{code: 3, text: text}
	}
	if err != nil {
		return err
	}
	var r report
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("answer of the control process: %w", err)
	}
	if asJSON {
		var pretty json.RawMessage = raw
		text, err := json.MarshalIndent(pretty, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\n", text)
	} else {
		printStatus(out, &r)
	}
	if !r.Ready {
		return &exitError{code: 1}
	}
	return nil
}

func printStatus(out io.Writer, r *report) {
	w := tabwriter.NewWriter(out, 2, 0, 2, ' ', 0)
	defer w.Flush()
	state := "ready"
	if !r.Ready {
		state = "NOT READY: " + r.NotReady
	}
	fmt.Fprintf(w, "gateway\t%s, version %s, role %s, up %s\n", state, r.Version, r.Role, age(r.Started))
	for _, d := range r.Degraded {
		fmt.Fprintf(w, "degraded\t%s\n", d)
	}
	fmt.Fprintf(w, "control process\tpid %d, configuration %s\n", r.PID, orNone(r.Config))
	if r.Data != nil {
		printProcesses(w, r)
	}
	printSource(w, r)
	printObjects(w, r)
	if r.Process != nil {
		fmt.Fprintf(w, "\nloop\tcpu\tbusy s\tconnections\trequests\tstalls > 1 ms\tlongest\n")
		for _, l := range r.Process.Loops {
			cpu := "-"
			if l.CPU >= 0 {
				cpu = fmt.Sprint(l.CPU)
			}
			fmt.Fprintf(w, "%d\t%s\t%.2f\t%d\t%d\t%d\t%s\n", l.Loop, cpu, l.BusySeconds, l.Connections, l.Requests, l.Stalls,
				time.Duration(l.LongestMS*float64(time.Millisecond)).Round(time.Microsecond))
		}
	}
}

func printProcesses(w io.Writer, r *report) {
	for _, p := range r.Data.Processes {
		notes := []string{p.Role, "up " + age(p.Since)}
		if p.Adopted {
			notes = append(notes, "adopted")
		}
		if !p.Connected {
			notes = append(notes, "NOT CONNECTED")
		}
		if r.Process != nil && r.Process.PID == p.PID {
			notes = append(notes, fmt.Sprintf("%d MiB", r.Process.Figures.RSS>>20))
		}
		fmt.Fprintf(w, "data process\tpid %d, epoch %d, %s\n", p.PID, p.Epoch, strings.Join(notes, ", "))
	}
	if len(r.Data.Processes) == 0 {
		fmt.Fprintf(w, "data process\tnone\n")
	}
	restarts := fmt.Sprintf("%d unexpected", r.Data.Restarts)
	if r.Data.LastExit != "" {
		restarts += fmt.Sprintf(", the last %s ago: %s", age(r.Data.LastExitAt), r.Data.LastExit)
	}
	fmt.Fprintf(w, "restarts\t%s\n", restarts)
	fmt.Fprintf(w, "listening\t%s\n", strings.Join(r.Data.Listen, " "))
}

func printSource(w io.Writer, r *report) {
	s := r.Source
	if s == nil {
		fmt.Fprintf(w, "source\tthe Admin API\n")
		return
	}
	state := "in sync"
	switch {
	case !s.Reachable:
		state = "NOT REACHABLE"
	case !s.Synced:
		state = "not in sync"
	}
	fmt.Fprintf(w, "%s\t%s, revision %d of %d, lag %s, %d reconnects, %d re-reads\n", s.Provider, state, s.Rev, s.StoreRev,
		time.Duration(s.LagSeconds*float64(time.Second)).Round(time.Millisecond), s.Reconnects, s.Rereads)
	for _, e := range s.Endpoints {
		how := "reachable"
		if !e.Reachable {
			how = "not reachable"
			if e.Error != "" {
				how += ": " + e.Error
			}
		}
		if e.Version != "" {
			how += ", version " + e.Version
		}
		fmt.Fprintf(w, "  endpoint\t%s %s\n", e.Endpoint, how)
	}
}

func printObjects(w io.Writer, r *report) {
	var counts []string
	for _, dir := range slices.Sorted(maps.Keys(r.Objects.Objects)) {
		counts = append(counts, fmt.Sprintf("%d %s", r.Objects.Objects[dir], dir))
	}
	fmt.Fprintf(w, "configuration\trevision %d, served %d: %s\n", r.Objects.Rev, r.Objects.Served, orNone(strings.Join(counts, ", ")))
	for i, f := range r.Objects.Refused {
		if i == 10 {
			fmt.Fprintf(w, "  refused\tand %d more\n", len(r.Objects.Refused)-i)
			break
		}
		fmt.Fprintf(w, "  refused\t%s %s at revision %d: %s\n", f.Kind, f.ID, f.Rev, f.Reason)
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func age(t time.Time) string {
	d := time.Since(t)
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
