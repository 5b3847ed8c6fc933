package main

import (
	"fmt"
	"io"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/logs"
	"github.com/sluicegw/sluice/core/req"
)

// accessLogPatience is how long the end of the process waits for a file that
// does not take the last lines.
const accessLogPatience = 2 * time.Second

// openAccessLog opens the access log when the settings want one.
func (d *dataPlane) openAccessLog(s *conf.Settings) error {
	h := &s.Nginx.HTTP
	if !h.EnableAccessLog {
		return nil
	}
	escape := logs.EscapeDefault
	switch h.AccessLogFormatEscape {
	case "json":
		escape = logs.EscapeJSON
	case "none":
		escape = logs.EscapeNone
	}
	format := logs.CompileFormat(h.AccessLogFormat, escape)
	for _, name := range format.Unknown() {
		d.log.Warn("access_log_format names a variable that no request has", "variable", name)
	}
	file, err := logs.OpenFile(h.AccessLog)
	if err != nil {
		return fmt.Errorf("nginx_config.http.access_log: %w", err)
	}
	d.access = logs.Open(logs.Options{Name: "access", Format: format, Sink: file, Log: d.log})
	return nil
}

// finished is what the listener calls for every request; nil when nobody wants
// to know.
func (d *dataPlane) finished() func(*req.Ctx) {
	if d.access == nil {
		return nil
	}
	return d.access.Record
}

func (d *dataPlane) closeAccessLog() {
	if d.access != nil {
		d.access.Close(accessLogPatience)
	}
}

// writeLogMetrics writes what the logs count.
func (d *dataPlane) writeLogMetrics(w io.Writer) {
	if d.access == nil {
		return
	}
	m := metricWriter{w: w, prefix: "sluice_log_"}
	st := d.access.Stats()
	for _, f := range []struct {
		name, help string
		n          uint64
	}{
		{"records_total", "Records written.", st.Written},
		{"dropped_total", "Records that found no room, because their destination is too slow.", st.Dropped},
		{"failed_total", "Records that their destination refused.", st.Failed},
	} {
		m.head(f.name, "counter", f.help)
		m.value(f.name, `log="access"`, float64(f.n))
	}
}
