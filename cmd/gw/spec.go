package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/proc"
)

// dataSpec is the data process that the settings ask for.
func dataSpec(s *conf.Settings, log *slog.Logger) (proc.Spec, error) {
	plan, err := proc.PlanCPUs(int(s.Nginx.WorkerProcesses), s.Nginx.EnableCPUAffinity, proc.Host{})
	if err != nil {
		return proc.Spec{}, err
	}
	log.Info("loops planned", "loops", len(plan.Loops), "decided_by", plan.Why, "cpus", len(plan.Allowed), "pinned", plan.Loops[0].CPU >= 0)
	raw, err := json.Marshal(s.ForData())
	if err != nil {
		return proc.Spec{}, fmt.Errorf("settings for the data process: %w", err)
	}
	return proc.Spec{
		Settings:  raw,
		Loops:     plan.Loops,
		Listen:    listenAddresses(s, log),
		OpenFiles: s.Nginx.WorkerRlimitNofile,
	}, nil
}

func liveSettings(s *conf.Settings) proc.Live {
	return proc.Live{ShutdownTimeout: s.Nginx.WorkerShutdownTimeout, LogLevel: s.Nginx.ErrorLogLevel}
}

// listenAddresses are the addresses that take traffic.
func listenAddresses(s *conf.Settings, log *slog.Logger) []proc.Listen {
	var list []proc.Listen
	add := func(ip string, port int, l proc.Listen) {
		l.Backlog = s.Sluice.Listen.Backlog
		l.DeferAccept = s.Sluice.Listen.DeferAccept
		l.FastOpen = s.Sluice.Listen.FastOpen
		l.SteerByCPU = s.Sluice.CPUSteering
		l.Addr = net.JoinHostPort(strings.Trim(ip, "[]"), strconv.Itoa(port))
		if ip != "" {
			list = append(list, l)
			return
		}
		l.Addr = net.JoinHostPort("0.0.0.0", strconv.Itoa(port))
		list = append(list, l)
		if s.APISIX.EnableIPv6 {
			l.Addr = net.JoinHostPort("::", strconv.Itoa(port))
			l.Optional = true
			list = append(list, l)
		}
	}
	for _, n := range s.APISIX.NodeListen {
		add(n.IP, n.Port, proc.Listen{HTTP2: n.HTTP2 != nil && *n.HTTP2})
	}
	if p := s.APISIX.ProxyProtocol.HTTPPort; p != 0 {
		if servesProxyProtocol {
			add("", p, proc.Listen{ProxyProtocol: true})
		} else {
			log.Warn("listen address skipped: the PROXY protocol is not served yet", "setting", "apisix.proxy_protocol.listen_http_port", "port", p)
		}
	}
	if !s.APISIX.SSL.Enable {
		return list
	}
	if !servesTLS {
		log.Warn("listen addresses skipped: HTTPS is not served yet", "setting", "apisix.ssl.listen")
		return list
	}
	for _, n := range s.APISIX.SSL.Listen {
		http2 := s.APISIX.EnableHTTP2
		if n.HTTP2 != nil {
			http2 = *n.HTTP2
		}
		add(n.IP, n.Port, proc.Listen{TLS: true, HTTP2: http2})
	}
	if p := s.APISIX.ProxyProtocol.HTTPSPort; p != 0 && servesProxyProtocol {
		add("", p, proc.Listen{TLS: true, ProxyProtocol: true, HTTP2: s.APISIX.EnableHTTP2})
	}
	return list
}
