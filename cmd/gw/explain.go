package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicegw/sluice/core/build"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/explain"
	"github.com/sluicegw/sluice/core/guard"
	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/proc"
)

// askExplain is the question of `gw explain`; the data process answers it.
const askExplain = "explain"

func explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain METHOD URL",
		Short: "Show what the gateway would do with a request, and why",
		Long: `Shows the routes that are tried for a request in their order and the condition
that keeps each from serving it, the plugins that run with the object that
brought each, and the upstream and node that it would go to. Nothing is sent and
no plugin is run.

The running gateway answers. With --file the objects of an apisix.yaml or
apisix.json are taken, with --etcd those in etcd, with the settings of
config.yaml.

The exit code is 1 when no route serves the request.`,
		Example: `  gw explain GET http://example.com/orders/7
  gw explain POST /login -H 'Host: example.com' -H 'X-Env: test' --data 'user=a'
  gw explain GET http://example.com/ --route 12      why not route 12?
  gw explain GET /x --file conf/apisix.yaml --json`,
		Args: cobra.ExactArgs(2),
	}
	flag := configFlag(cmd)
	var q explain.Question
	f := cmd.Flags()
	f.StringArrayVarP(&q.Headers, "header", "H", nil, "a header line, \"Name: value\"; may be repeated")
	f.StringVarP(&q.Body, "data", "d", "", "the request body, for conditions on it")
	f.StringVar(&q.Client, "client", "", "the client's IP address (default 127.0.0.1)")
	f.StringVar(&q.Consumer, "consumer", "", "show the plugins that requests of this consumer get")
	f.StringVar(&q.Route, "route", "", "show what keeps this route from serving the request")
	file := f.String("file", "", "explain with the objects of this file")
	etcd := f.Bool("etcd", false, "explain with the objects in etcd")
	asJSON := f.Bool("json", false, "print the answer as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q.Method, q.URL = args[0], args[1]
		s, _, err := conf.LoadSettings(configPath(*flag))
		if err != nil {
			return err
		}
		var report *explain.Report
		if *file == "" && !*etcd {
			report, err = explainRunning(cmd.Context(), s, &q)
		} else {
			report, err = explainOffline(cmd, s, *file, &q)
		}
		if err != nil {
			return err
		}
		if *asJSON {
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			err = enc.Encode(report)
		} else {
			err = report.WriteText(cmd.OutOrStdout())
		}
		if err == nil && report.Route == nil {
			err = &exitError{code: 1}
		}
		return err
	}
	return cmd
}

func explainRunning(ctx context.Context, s *conf.Settings, q *explain.Question) (*explain.Report, error) {
	raw, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	report := new(explain.Report)
	err = proc.AskJSON(ctx, s.Sluice.RunDir, askExplain, raw, report)
	if errors.Is(err, proc.ErrNoControl) {
		return nil, fmt.Errorf("%w: start it, or name a source with --file or --etcd", err)
	}
	return report, err
}

// explainOffline builds what a gateway with these objects would run.
func explainOffline(cmd *cobra.Command, s *conf.Settings, file string, q *explain.Question) (*explain.Report, error) {
	var h *atHand
	var err error
	if file != "" {
		h, err = readFile(s, file)
	} else {
		h, err = readEtcd(cmd.Context(), s)
	}
	if err != nil {
		return nil, err
	}
	for _, p := range h.problems {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: left out: %s\n", h.from, p)
	}
	for i, why := range h.refused {
		if why != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s %s is refused: %s\n", h.raw[i].Kind, h.raw[i].ID, why)
		}
	}
	policy, err := guard.New(guardSettings(s))
	if err != nil {
		return nil, err
	}
	opts := builderOptions(s, slog.New(slog.DiscardHandler))
	opts.Lookup = lookupOnce
	b := build.New(opts)
	for _, r := range b.Apply(&conf.Batch{Full: true, Rev: h.rev, Objects: h.served()}) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s %s is refused: %s\n", r.Kind, r.ID, r.Err)
	}
	g := explain.Gateway{Builder: b, Policy: policy, Limits: headLimits(s)}
	return g.Ask(q)
}

// lookupOnce resolves a domain node for a command that shows it.
func lookupOnce(host string) []netip.Addr {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	return list
}

// explain answers a question put to the data process.
func (d *dataPlane) explain(arg []byte) ([]byte, error) {
	var q explain.Question
	if err := json.Unmarshal(arg, &q); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g := explain.Gateway{Builder: d.builder, Policy: d.policy, Limits: headLimits(d.settings)}
	report, err := g.Ask(&q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(report)
}

// builderOptions are those that settings decide. Which plugins are enabled was
// decided by whoever checked the objects.
func builderOptions(s *conf.Settings, log *slog.Logger) build.Options {
	return build.Options{
		Match: matchOptions(s),
		Attr:  pluginAttr(s), Clock: loop.Clock,
		ChecksDisabled: s.APISIX.DisableHealthcheck, Secrets: resolveSecret,
		Log: log,
	}
}
