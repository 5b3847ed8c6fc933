package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nginxHead is common to nginx as a gateway and as the upstream: one worker
// in the foreground that never has to give up a connection. The worker keeps
// the master's user, so that it may read files in a private directory.
const nginxHead = `daemon off;
user root;
master_process on;
worker_processes 1;
worker_rlimit_nofile 20000;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log error;
events { worker_connections 19000; use epoll; }
http {
  access_log off;
  server_tokens off;
  tcp_nodelay on;
  keepalive_timeout 3600s;
  keepalive_requests 1000000000;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  client_max_body_size 0;
`

// upstreamCommand is the back end that everybody proxies to. Small bodies come
// from memory, large ones from a cached file by sendfile.
func upstreamCommand(dir string, s scenario, listen string) (*exec.Cmd, error) {
	if s.Upload > 0 {
		return sinkCommand(listen)
	}
	var b strings.Builder
	fmt.Fprintf(&b, nginxHead, dir)
	fmt.Fprintf(&b, "  server {\n    listen %s backlog=4096;\n", listen)
	if s.Body <= 2048 {
		fmt.Fprintf(&b, "    location / { default_type text/plain; return 200 \"%s\"; }\n", strings.Repeat("x", s.Body))
	} else {
		if err := os.WriteFile(filepath.Join(dir, "body"+fmt.Sprint(s.Body)), []byte(strings.Repeat("x", s.Body)), 0o644); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "    root %s; sendfile on; open_file_cache max=10 inactive=3600s; open_file_cache_valid 3600s; etag off;\n", dir)
		fmt.Fprintf(&b, "    location / { default_type text/plain; rewrite ^ /body%d break; }\n", s.Body)
	}
	b.WriteString("  }\n}\n")
	return nginxCommand(dir, b.String())
}

// nginxGateway proxies with the forwarding headers that the other gateways
// send too, with a map of keys and limit_req where features are asked for. Its
// pool holds every connection it can need, and bodies stream
// through it in both directions.
func nginxGateway(dir string, s scenario, listen, upstream string) (*exec.Cmd, error) {
	var b strings.Builder
	fmt.Fprintf(&b, nginxHead, dir)
	fmt.Fprintf(&b, `  upstream back { server %s; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 3600s; }
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Real-IP $remote_addr;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $host;
  proxy_set_header X-Forwarded-Port $server_port;
  proxy_request_buffering off;
  proxy_max_temp_file_size 0;
  proxy_buffer_size 32k;
  proxy_buffers 8 32k;
`, upstream)
	if s.Features {
		b.WriteString("  map_hash_max_size 4096;\n  map $http_apikey $consumer {\n    default \"\";\n")
		for i := range consumers {
			fmt.Fprintf(&b, "    %s consumer%d;\n", consumerKey(i), i)
		}
		b.WriteString("  }\n  limit_req_zone $consumer zone=per_consumer:10m rate=1000000r/s;\n")
	}
	fmt.Fprintf(&b, "  server {\n    listen %s backlog=4096;\n", listen)
	if s.Features {
		b.WriteString("    if ($consumer = \"\") { return 401; }\n    limit_req zone=per_consumer burst=1000000 nodelay;\n")
	}
	for i := range s.Routes {
		fmt.Fprintf(&b, "    location /service/%d/ { proxy_pass http://back; }\n", i)
	}
	if s.Routes > 0 {
		b.WriteString("    location /service/last/ { proxy_pass http://back; }\n")
	} else {
		b.WriteString("    location / { proxy_pass http://back; }\n")
	}
	b.WriteString("  }\n}\n")
	return nginxCommand(dir, b.String())
}

func nginxCommand(dir, conf string) (*exec.Cmd, error) {
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
		return nil, err
	}
	return exec.Command("nginx", "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", path), nil
}
