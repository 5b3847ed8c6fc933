package main

import (
	"fmt"
	"io"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/meter"
)

// setUpMeter gives the counters of requests their settings.
func setUpMeter(s *conf.Settings) error {
	p := &s.PluginAttr.Prometheus
	o := meter.Options{Prefix: p.MetricPrefix, Buckets: p.DefaultBuckets}
	if err := o.Parse(p.Metrics); err != nil {
		return err
	}
	meter.Default.Configure(o)
	return nil
}

// meterRoutes tells the counters which routes of a batch came and went.
func meterRoutes(b *conf.Batch) {
	var alive, gone []string
	for i := range b.Objects {
		switch o := &b.Objects[i]; {
		case o.Kind != conf.KindRoute:
		case o.Value == nil:
			gone = append(gone, o.ID)
		default:
			alive = append(alive, o.ID)
		}
	}
	if len(alive)+len(gone) > 0 {
		meter.Default.Routes(alive, gone)
	}
}

// entryBytes is the memory of an entry of a shared table: core/state keeps
// seven of them in 512 bytes.
const entryBytes = 512.0 / 7

// writeDashboardMetrics writes the families that APISIX's dashboards read and
// that requests do not feed.
func (d *dataPlane) writeDashboardMetrics(w io.Writer) {
	m := metricWriter{w: w, prefix: d.settings.PluginAttr.Prometheus.MetricPrefix}
	if list := d.health.Snapshot(); len(list) > 0 {
		m.head("upstream_status", "gauge", "Upstream status from health check")
		for i := range list {
			for _, n := range list[i].Nodes {
				up := n.Status == "healthy" || n.Status == "mostly_healthy"
				m.value("upstream_status", fmt.Sprintf("name=%q,ip=%q,port=\"%d\"", list[i].Name, n.IP, n.Port), boolValue(up))
			}
		}
	}
	tables := d.shared.Tables()
	// The tables stand in for APISIX's shared dictionaries.
	m.head("shared_dict_capacity_bytes", "gauge", "The capacity of each shared table")
	for _, t := range tables {
		s := t.Stats()
		m.value("shared_dict_capacity_bytes", fmt.Sprintf("name=%q", s.Name), float64(s.Entries)*entryBytes)
	}
	m.head("shared_dict_free_space_bytes", "gauge", "The free space of each shared table")
	for _, t := range tables {
		s := t.Stats()
		m.value("shared_dict_free_space_bytes", fmt.Sprintf("name=%q", s.Name), float64(s.Entries-min(s.Used, s.Entries))*entryBytes)
	}
}
