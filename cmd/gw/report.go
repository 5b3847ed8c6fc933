package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/proc"
	"github.com/sluicegw/sluice/core/store"
)

// The calls that commands make to the control process.
const (
	askStatus   = "status"
	askReload   = "reload"
	askAccept   = "accept"
	askRollback = "rollback"
)

// answer serves the commands of the CLI; what it does not know goes to the
// data process.
func (c *control) answer(ctx context.Context, name string, arg []byte) ([]byte, error) {
	switch name {
	case askStatus:
		return json.Marshal(c.report(ctx))
	case askReload:
		if err := c.reload(); err != nil {
			return nil, err
		}
		return []byte("{}"), nil
	case askRollback:
		return c.rollback(ctx, arg)
	case askLint:
		return c.lint()
	case askAccept:
		src := c.src.Load()
		if src == nil || src.etcd == nil || !src.etcd.AcceptRegress() {
			return nil, errors.New("etcd holds nothing that waits to be accepted")
		}
		c.log.Warn("the operator accepts the state of etcd")
		return []byte("{}"), nil
	}
	return c.call(ctx, name, arg)
}

// report is what `gw status` shows.
type report struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Config  string    `json:"config"`
	Role    string    `json:"role"`
	Ready   bool      `json:"ready"`
	// NotReady says what is missing.
	NotReady string `json:"not_ready,omitempty"`
	// Degraded says what does not work while traffic is served.
	Degraded []string `json:"degraded,omitempty"`
	// Data is nil on a node that serves no traffic.
	Data *proc.Status `json:"data,omitempty"`
	// Process is the serving data process's own report.
	Process *dataStatus `json:"process,omitempty"`
	Source  *sourceInfo `json:"source,omitempty"`
	Objects configInfo  `json:"configuration"`
}

// sourceInfo is the state of etcd or the file.
type sourceInfo struct {
	Provider  string                 `json:"provider"`
	Endpoints []store.EndpointStatus `json:"endpoints"`
	Reachable bool                   `json:"reachable"`
	Synced    bool                   `json:"synced"`
	// Rev is the revision handed on, StoreRev the newest one of the store.
	Rev      int64 `json:"rev"`
	StoreRev int64 `json:"store_rev"`
	// LagSeconds is how long Rev has been behind.
	LagSeconds float64        `json:"lag_seconds"`
	LastError  string         `json:"last_error,omitempty"`
	Reconnects uint64         `json:"reconnects"`
	Rereads    uint64         `json:"rereads"`
	Regress    *store.Regress `json:"regress,omitempty"`
}

// configInfo is the configuration that is served.
type configInfo struct {
	Rev int64 `json:"rev"`
	// Served is the revision that the data process acknowledged.
	Served  int64          `json:"served"`
	Objects map[string]int `json:"objects"`
	// Refused lists the objects whose newest version is not served.
	Refused   []proc.Refusal `json:"refused,omitempty"`
	Warned    int            `json:"warned"`
	ChangedAt time.Time      `json:"changed_at,omitzero"`
}

func (c *control) report(ctx context.Context) *report {
	s := c.settings.Load()
	r := &report{
		Version: version(), PID: os.Getpid(), Started: c.started, Config: c.configPath, Role: s.Deployment.Role, Ready: true,
	}
	if err := c.ready(); err != nil {
		r.Ready, r.NotReady = false, err.Error()
	}
	feed := c.feed.Status()
	r.Objects = configInfo{
		Rev: c.table.Rev(), Objects: c.table.Counts(), Refused: append(feed.Refused, c.table.Refused()...),
		Warned: feed.Warned, ChangedAt: feed.ChangedAt,
	}
	if src := c.src.Load(); src != nil {
		r.Source = sourceReport(src.provider.Status())
	}
	if c.sup != nil {
		st := c.sup.Status()
		r.Data = &st
		r.Objects.Served, _ = c.sup.Served()
		r.Process = c.askData(ctx)
	}
	r.Degraded = c.degraded(r)
	return r
}

func sourceReport(st store.Status) *sourceInfo {
	return &sourceInfo{
		Provider: st.Provider, Endpoints: st.Endpoints, Reachable: st.Reachable, Synced: st.Synced, Rev: st.Rev,
		StoreRev: st.StoreRev, LagSeconds: st.Behind.Seconds(), LastError: st.LastError,
		Reconnects: st.Reconnects, Rereads: st.Rereads, Regress: st.Regress,
	}
}

// askData asks the data process about itself, for a second at most.
func (c *control) askData(ctx context.Context) *dataStatus {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	raw, err := c.call(ctx, proc.CallStatus, nil)
	if err != nil {
		return nil
	}
	var st dataStatus
	if json.Unmarshal(raw, &st) != nil {
		return nil
	}
	return &st
}

// degraded lists what an operator should look at although traffic is served.
func (c *control) degraded(r *report) []string {
	var list []string
	if c.keep.serving.Load() {
		list = append(list, fmt.Sprintf("the last good configuration serves, %s old", c.keep.loaded.Age(time.Now()).Round(time.Second)))
	}
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if src := r.Source; src != nil {
		switch {
		case src.Regress != nil:
			add("%s holds an older or different state that was not accepted: %s; `gw sync --accept` takes it", src.Provider, src.Regress.Reason)
		case !src.Reachable:
			add("%s cannot be reached: %s", src.Provider, src.LastError)
		case src.LastError != "":
			add("%s: %s", src.Provider, src.LastError)
		}
	}
	if n := len(r.Objects.Refused); n > 0 {
		add("%d objects are refused: those that were good before serve in that version, the others do not", n)
	}
	if r.Data != nil && r.Process == nil {
		add("the data process does not answer")
	}
	return list
}

// metricsCache keeps the metrics text for plugin_attr.prometheus.refresh_interval.
type metricsCache struct {
	mu   sync.Mutex
	text []byte
	at   time.Time
}

// writeMetrics implements the metrics server.
func (c *control) writeMetrics(w io.Writer) {
	every := c.settings.Load().PluginAttr.Prometheus.RefreshInterval
	m := &c.metrics
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.text == nil || time.Since(m.at) >= every {
		m.text, m.at = c.collectMetrics(), time.Now()
	}
	_, _ = w.Write(m.text) // into memory
}

func (c *control) collectMetrics() []byte {
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if c.sup != nil {
		text, err := c.call(ctx, proc.CallMetrics, nil)
		if err != nil {
			fmt.Fprintf(&out, "# the data process does not answer: %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
		}
		out.Write(text)
	}
	s := c.settings.Load()
	m := metricWriter{w: &out, prefix: s.PluginAttr.Prometheus.MetricPrefix}
	if src := c.src.Load(); src != nil {
		st := src.provider.Status()
		m.head("etcd_reachable", "gauge", "whether the source of the configuration can be reached")
		m.value("etcd_reachable", "", boolValue(st.Reachable))
		m.head("etcd_modify_indexes", "gauge", "revisions of the configuration")
		newest := int64(0)
		for k := conf.KindNone + 1; k < conf.NumKinds; k++ {
			if rev, ok := c.table.Newest(k); ok {
				newest = max(newest, rev)
				m.value("etcd_modify_indexes", fmt.Sprintf("key=%q", k.Dir()), float64(rev))
			}
		}
		m.value("etcd_modify_indexes", `key="max_modify_index"`, float64(newest))
		m.value("etcd_modify_indexes", `key="x_etcd_index"`, float64(st.StoreRev))
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	m.head("node_info", "gauge", "this node")
	m.value("node_info", fmt.Sprintf("hostname=%q,version=%q", host, version()), 1)
	c.ownMetrics(&m)
	figures := map[string]processFigures{"control": ownFigures()}
	if c.sup != nil {
		if st := c.askData(ctx); st != nil {
			figures["data"] = st.Figures
		}
	}
	writeProcessMetrics(&out, figures)
	return out.Bytes()
}

func (c *control) ownMetrics(m *metricWriter) {
	m.prefix = "sluice_"
	gauge := func(name, help string, v float64) {
		m.head(name, "gauge", help)
		m.value(name, "", v)
	}
	gauge("ready", "whether a data process serves a configuration", boolValue(c.ready() == nil))
	gauge("config_degraded", "whether the last good configuration of a former run serves", boolValue(c.keep.serving.Load()))
	if l := c.keep.loaded; l != nil && c.keep.serving.Load() {
		gauge("config_age_seconds", "age of that configuration", l.Age(time.Now()).Seconds())
	}
	gauge("config_rev", "revision of the configuration at hand", float64(c.table.Rev()))
	gauge("config_refused_objects", "objects whose newest version is not served", float64(len(c.feed.Status().Refused)+len(c.table.Refused())))
	if src := c.src.Load(); src != nil {
		st := src.provider.Status()
		gauge("config_lag_seconds", "how long the source has been ahead", st.Behind.Seconds())
		gauge("store_regress", "whether etcd holds an older or different state that was not accepted", boolValue(st.Regress != nil))
	}
	if c.sup == nil {
		return
	}
	served, _ := c.sup.Served()
	gauge("config_served_rev", "revision acknowledged by the data process", float64(served))
	m.head("data_restarts_total", "counter", "data processes that died unexpectedly")
	m.value("data_restarts_total", "", float64(c.sup.Status().Restarts))
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
