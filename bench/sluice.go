package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// sluiceGateway returns a contender for one event engine of the gateway,
// configured by files: no store runs beside it.
func sluiceGateway(bin, engine string) contender {
	start := func(dir string, s scenario, listen, upstream string) (*exec.Cmd, error) {
		if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(sluiceConfig(engine, listen)), 0o644); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, "apisix.yaml"), []byte(sluiceRoutes(s, upstream)), 0o644); err != nil {
			return nil, err
		}
		cmd := exec.Command(bin, "run", "-c", filepath.Join(dir, "config.yaml"))
		cmd.Dir = dir
		return cmd, nil
	}
	return contender{Name: "sluice-" + engine, start: start}
}

func sluiceConfig(engine, listen string) string {
	ip, port, err := net.SplitHostPort(listen)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`apisix:
  node_listen: [{ip: %s, port: %s}]
  ssl: {enable: false}
  enable_admin: false
  enable_control: false
nginx_config:
  worker_processes: 1
  worker_rlimit_nofile: 20000
  worker_shutdown_timeout: 1s
  event: {worker_connections: 19000}
  http: {keepalive_timeout: 3600s, keepalive_requests: 1000000000}
plugin_attr:
  prometheus: {enable_export_server: false}
deployment:
  role: data_plane
  role_data_plane: {config_provider: yaml}
sluice: {engine: %s}
`, ip, port, engine)
}

func sluiceRoutes(s scenario, upstream string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `upstreams:
  - id: back
    type: roundrobin
    nodes: {"%s": 1}
    keepalive_pool: {size: 1024, idle_timeout: 3600, requests: 1000000000}
routes:
`, upstream)
	for i := range s.Routes {
		fmt.Fprintf(&b, "  - {id: r%d, uri: \"/service/%d/*\", upstream_id: back}\n", i, i)
	}
	uri := "/*"
	if s.Routes > 0 {
		uri = "/service/last/*"
	}
	plugins := ""
	if s.Features {
		plugins = ", plugins: {key-auth: {}, limit-count: {count: 1000000000, time_window: 60, key: consumer_name, rejected_code: 429}, prometheus: {}}"
	}
	fmt.Fprintf(&b, "  - {id: last, uri: %q, upstream_id: back%s}\n", uri, plugins)
	if s.Features {
		b.WriteString("consumers:\n")
		for i := range consumers {
			fmt.Fprintf(&b, "  - {username: consumer%d, plugins: {key-auth: {key: %s}}}\n", i, consumerKey(i))
		}
	}
	b.WriteString("#END\n")
	return b.String()
}
