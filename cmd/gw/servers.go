package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluicegw/sluice/core/admin"
	controlapi "github.com/sluicegw/sluice/core/admin/control"
	"github.com/sluicegw/sluice/core/admin/httpd"
	"github.com/sluicegw/sluice/core/admin/probe"
	"github.com/sluicegw/sluice/core/conf"
)

// shutdownGrace is how long requests to the control process's own servers may
// go on when it ends.
const shutdownGrace = 2 * time.Second

// servers are the control process's own.
type servers struct {
	admin, control, metrics, status *httpd.Server
	adminOnce                       sync.Once
}

// serve begins to answer, except on the Admin API.
func (s *servers) serve() {
	for _, srv := range []*httpd.Server{s.status, s.control, s.metrics} {
		if srv != nil {
			srv.Serve()
		}
	}
}

func (s *servers) serveAdmin() {
	s.adminOnce.Do(func() {
		if s.admin != nil {
			s.admin.Serve()
		}
	})
}

// shutdown ends all but the status server, which answers until the end.
func (s *servers) shutdown(log *slog.Logger) {
	shutdown(log, s.admin, s.control, s.metrics)
}

func (s *servers) shutdownStatus(log *slog.Logger) { shutdown(log, s.status) }

func shutdown(log *slog.Logger, list ...*httpd.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	for _, srv := range list {
		if srv == nil {
			continue
		}
		if err := srv.Shutdown(ctx); err != nil {
			log.Warn("server did not end cleanly", "error", err)
		}
	}
}

// openServers binds the addresses; nothing is served yet.
func (c *control) openServers(s *conf.Settings) error {
	checker := admin.Conf{Validator: newValidator(c.plugins, conf.ModeAdmin)}
	var err error
	if s.ServesAdmin() && c.hasAdmin(s) {
		if c.adminKey, err = madeAdminKey(s, c.log); err != nil {
			return err
		}
		var secure *tls.Config
		if a := &s.Deployment.Admin; a.HTTPS {
			if secure, err = httpd.ServerTLS(a.MTLS.Cert, a.MTLS.Key, a.MTLS.CA); err != nil {
				return err
			}
		}
		c.servers.admin, err = httpd.Listen(httpd.Options{
			Name: "Admin API", Setting: "deployment.admin.admin_listen",
			Addresses: []string{s.Deployment.Admin.Listen.String()},
			Handler:   c.serveAdmin, TLS: secure, StreamBody: true, ServerHeader: serverHeader(s), Log: c.log,
		})
		if err != nil {
			return err
		}
	}
	if s.APISIX.EnableControl {
		api := controlapi.New(controlapi.Options{State: c, Checker: checker, Prefix: s.Deployment.Etcd.Prefix})
		c.servers.control, err = httpd.Listen(httpd.Options{
			Name: "Control API", Setting: "apisix.control", Addresses: []string{s.APISIX.Control.String()},
			Handler: api.Handler, ServerHeader: serverHeader(s), Log: c.log,
		})
		if err != nil {
			return err
		}
	}
	if p := &s.PluginAttr.Prometheus; p.EnableExportServer {
		c.servers.metrics, err = httpd.Listen(httpd.Options{
			Name: "metrics", Setting: "plugin_attr.prometheus.export_addr", Addresses: []string{p.ExportAddr.String()},
			Handler: probe.Metrics(p.ExportURI, c.writeMetrics), ServerHeader: serverHeader(s), Log: c.log,
		})
		if err != nil {
			return err
		}
	}
	if a := s.APISIX.Status; !a.IsZero() {
		c.servers.status, err = httpd.Listen(httpd.Options{
			Name: "status", Setting: "apisix.status", Addresses: []string{a.String()},
			Handler: probe.Status(c.ready), ServerHeader: serverHeader(s), Log: c.log,
		})
	}
	return err
}

// hasAdmin tells whether the Admin API has something to write to.
func (c *control) hasAdmin(s *conf.Settings) bool {
	if s.Provider() == conf.ProviderEtcd || drivenByAPI(s, c.configPath) {
		return true
	}
	c.log.Info("no Admin API: the configuration comes from a file", "file", resourceFile(s, c.configPath))
	return false
}

func (c *control) serveAdmin(ctx *fasthttp.RequestCtx) {
	if api := c.api.Load(); api != nil {
		api.Handler(ctx)
		return
	}
	ctx.Error(`{"error_msg":"the gateway is starting"}`, fasthttp.StatusServiceUnavailable)
}

func (c *control) adminOptions(s *conf.Settings) admin.Options {
	o := admin.Options{
		Checker:       admin.Conf{Validator: newValidator(c.plugins, conf.ModeAdmin)},
		Prefix:        s.Deployment.Etcd.Prefix,
		Access:        c.adminAccess(s),
		StreamEnabled: strings.Contains(s.APISIX.ProxyMode, "stream"),
		Keyring:       c.ring,
		ReloadPlugins: c.pushPlugins,
		Journal:       c.afterChange,
		Lint:          c.warnings,
		Index:         c,
		Log:           c.log,
	}
	if c.standalone != nil {
		o.Configs = c.standalone
	} else {
		o.Store = c.src.Load().etcd
	}
	return o
}

// liveWait is how long the Admin API holds an answer back until this node
// serves the change.
const liveWait = 250 * time.Millisecond

// afterChange is told of every accepted change before its client is answered.
// Whoever writes a route and asks for it next finds it.
func (c *control) afterChange(changes []admin.Change) {
	c.attribute(changes)
	rev := int64(0)
	for i := range changes {
		rev = max(rev, changes[i].Rev)
	}
	if c.sup == nil || rev == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, liveWait)
	defer cancel()
	c.sup.WaitServed(ctx, rev)
}

func (c *control) adminAccess(s *conf.Settings) admin.Access {
	a := admin.Access{KeyRequired: s.Deployment.Admin.KeyRequired, CORS: s.Deployment.Admin.CORS}
	for _, k := range s.AdminKeys(c.adminKey) {
		a.Keys = append(a.Keys, admin.Key{Name: k.Name, Key: k.Key, Role: k.Role})
	}
	for _, text := range s.Deployment.Admin.Allow {
		// The settings' own check has refused anything else.
		if p, err := netip.ParsePrefix(text); err == nil {
			a.Allow = append(a.Allow, p.Masked())
		} else if ip, err := netip.ParseAddr(text); err == nil {
			a.Allow = append(a.Allow, netip.PrefixFrom(ip, ip.BitLen()))
		}
	}
	return a
}

// ready implements /status/ready.
func (c *control) ready() error {
	if c.sup == nil {
		if !c.table.Loaded() {
			return errors.New("the control plane has not received configuration")
		}
		return nil
	}
	if ok, why := c.sup.Ready(); !ok {
		return errors.New(why)
	}
	return nil
}

// failed tells of a server that ended by itself.
func (s *servers) failed() <-chan error {
	out := make(chan error, 4)
	for _, srv := range []*httpd.Server{s.admin, s.control, s.metrics, s.status} {
		if srv == nil {
			continue
		}
		go func() { out <- <-srv.Failed() }()
	}
	return out
}
