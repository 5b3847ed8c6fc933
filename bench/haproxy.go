package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// haproxyGateway runs one HAProxy thread that reuses upstream connections
// freely.
func haproxyGateway(dir string, s scenario, listen, upstream string) (*exec.Cmd, error) {
	var b strings.Builder
	b.WriteString(`global
  nbthread 1
  maxconn 15000
  no strict-limits
  tune.pool-low-fd-ratio 90
  tune.pool-high-fd-ratio 95
defaults
  mode http
  timeout connect 5s
  timeout client 3600s
  timeout server 60s
  timeout http-keep-alive 3600s
  http-reuse always
  option http-keep-alive
frontend in
`)
	fmt.Fprintf(&b, "  bind %s backlog 4096\n", listen)
	b.WriteString(`  option forwardfor
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
`)
	if s.Features {
		keys := filepath.Join(dir, "keys.map")
		var m strings.Builder
		for i := range consumers {
			fmt.Fprintf(&m, "%s consumer%d\n", consumerKey(i), i)
		}
		if err := os.WriteFile(keys, []byte(m.String()), 0o644); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, `  http-request set-var(txn.consumer) req.hdr(apikey),map_str(%s)
  http-request deny deny_status 401 unless { var(txn.consumer) -m found }
  stick-table type string len 32 size 10k expire 60s store http_req_rate(60s)
  http-request track-sc0 var(txn.consumer)
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 1000000000 }
`, keys)
	}
	if s.Routes > 0 {
		table := filepath.Join(dir, "routes.map")
		var m strings.Builder
		for i := range s.Routes {
			fmt.Fprintf(&m, "/service/%d/ back\n", i)
		}
		m.WriteString("/service/last/ back\n")
		if err := os.WriteFile(table, []byte(m.String()), 0o644); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "  use_backend %%[path,map_beg(%s)]\n", table)
	} else {
		b.WriteString("  default_backend back\n")
	}
	fmt.Fprintf(&b, "backend back\n  server one %s pool-max-conn -1 maxconn 2000\n", upstream)
	path := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return nil, err
	}
	return exec.Command("haproxy", "-db", "-f", path), nil
}
