package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
)

// atHand is a configuration that is looked at without being served.
type atHand struct {
	// from says where it came from.
	from string
	rev  int64
	// raw holds the objects as they are written, filled those that may be
	// served, checked and with their defaults, by the same index; a refused one
	// has no value there and its reason in refused.
	raw, filled []conf.Object
	refused     []string
	warnings    [][]string
	lines       []int // in the file; nil for etcd
	// problems are the items that are no object at all.
	problems []string
	// plugins is the pushed list of plugins, nil when there is none.
	plugins []byte
}

// etcdPatience is how long a command waits for etcd.
const etcdPatience = 30 * time.Second

// readFile reads apisix.yaml or apisix.json.
func readFile(s *conf.Settings, path string) (*atHand, error) {
	doc, err := store.ReadDocument(path, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	h := &atHand{from: path, plugins: doc.Plugins}
	for _, p := range doc.Problems {
		h.problems = append(h.problems, p.Error())
	}
	for i := range doc.Items {
		item := &doc.Items[i]
		h.raw = append(h.raw, conf.Object{Kind: item.Kind, ID: item.ID, Value: item.Value, CreateRev: int64(i + 1), Rev: int64(i + 1)})
		h.lines = append(h.lines, item.Line)
	}
	return h, h.check(s, conf.ModeFile)
}

// readEtcd reads the etcd of the settings.
func readEtcd(ctx context.Context, s *conf.Settings) (*atHand, error) {
	if s.EmbeddedEtcd() {
		return nil, errors.New("the configuration is in the gateway's own etcd: ask the running gateway, or name deployment.etcd.host")
	}
	ctx, cancel := context.WithTimeout(ctx, etcdPatience)
	defer cancel()
	h := &atHand{from: fmt.Sprintf("etcd %v below %s", s.Deployment.Etcd.Host, s.Deployment.Etcd.Prefix)}
	cfg := etcdConfig(s, store.Known{}, slog.New(slog.DiscardHandler))
	cfg.OnPlugins = func(list []byte, _ int64) { h.plugins = list }
	etcd, err := store.NewEtcd(cfg)
	if err != nil {
		return nil, err
	}
	defer etcd.Close()
	if err := etcd.Connect(ctx); err != nil {
		return nil, err
	}
	got := false
	err = etcd.Run(ctx, func(b conf.Batch) {
		if !got {
			got, h.raw, h.rev = true, b.Objects, b.Rev
		}
		cancel()
	})
	if !got {
		return nil, fmt.Errorf("%s was not read: %w", h.from, err)
	}
	return h, h.check(s, conf.ModeStore)
}

// check judges every object as a gateway with these settings would.
func (h *atHand) check(s *conf.Settings, mode conf.Mode) error {
	ring, err := newKeyring(s)
	if err != nil {
		return err
	}
	set := newPluginSet(s)
	if _, err := set.push(h.plugins); err != nil {
		h.problems = append(h.problems, err.Error())
	}
	v := newValidator(set, mode)
	h.filled = make([]conf.Object, len(h.raw))
	h.refused = make([]string, len(h.raw))
	h.warnings = make([][]string, len(h.raw))
	for i := range h.raw {
		o := ring.Open(h.raw[i])
		h.raw[i].Value = o.Value
		h.filled[i] = o
		filled, warnings, err := v.Check(o.Kind, o.ID, o.Value)
		h.filled[i].Value, h.warnings[i] = filled, warnings
		if err != nil {
			h.filled[i].Value, h.refused[i] = nil, err.Error()
		}
	}
	return nil
}

// served lists the objects that would be served.
func (h *atHand) served() []conf.Object {
	list := make([]conf.Object, 0, len(h.filled))
	for i := range h.filled {
		if h.refused[i] == "" {
			list = append(list, h.filled[i])
		}
	}
	return list
}
