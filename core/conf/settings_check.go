package conf

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// validate returns what is wrong between settings, or beyond a type.
func (s *Settings) validate(file string) []error {
	var errs []error
	fail := func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s: %s", file, path, fmt.Sprintf(format, args...)))
	}
	s.checkListen(fail)
	s.checkAdmin(fail)
	s.checkEtcd(fail)
	for i, key := range s.APISIX.DataEncryption.Keyring {
		if len(key) != 16 && len(key) != 32 {
			fail(fmt.Sprintf("apisix.data_encryption.keyring[%d]", i), "a key has 16 or 32 bytes, not %d", len(key))
		}
	}
	for i, a := range s.APISIX.TrustedAddresses {
		if !isNetwork(a) {
			fail(fmt.Sprintf("apisix.trusted_addresses[%d]", i), "%q is neither an address nor a network", a)
		}
	}
	for i, a := range s.Nginx.HTTP.RealIPFrom {
		if !isNetwork(a) && !strings.HasPrefix(a, "unix:") {
			fail(fmt.Sprintf("nginx_config.http.real_ip_from[%d]", i), "%q is neither an address nor a network", a)
		}
	}
	for i, a := range s.APISIX.DNSResolver {
		if _, err := netip.ParseAddr(strings.Trim(a, "[]")); err != nil {
			if _, err := netip.ParseAddrPort(a); err != nil {
				fail(fmt.Sprintf("apisix.dns_resolver[%d]", i), "%q is neither ip nor ip:port", a)
			}
		}
	}
	for version := range strings.FieldsSeq(s.APISIX.SSL.Protocols) {
		if !slices.Contains([]string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}, version) {
			fail("apisix.ssl.ssl_protocols", "%q is none of TLSv1.1, TLSv1.2, TLSv1.3", version)
		}
	}
	names := map[string]bool{}
	for i, z := range s.APISIX.ProxyCache.Zones {
		path := fmt.Sprintf("apisix.proxy_cache.zones[%d]", i)
		switch {
		case z.Name == "":
			fail(path, "name is missing")
		case names[z.Name]:
			fail(path, "the name %q is taken by another zone", z.Name)
		case z.DiskPath != "" && z.DiskSize == 0:
			fail(path, "a zone on disk needs disk_size")
		}
		names[z.Name] = true
	}
	if n := len(s.Sluice.RunDir); n > 80 {
		fail("sluice.run_dir", "the path has %d bytes; unix sockets allow 80 here", n)
	}
	return errs
}

type failFunc func(path, format string, args ...any)

func (s *Settings) checkListen(fail failFunc) {
	taken := map[string]string{}
	take := func(path, ip string, port int) {
		if port == 0 {
			return
		}
		if ip == "" {
			ip = "0.0.0.0"
		}
		addr, err := netip.ParseAddr(strings.Trim(ip, "[]"))
		if err != nil {
			fail(path, "%q is not an IP address", ip)
			return
		}
		key := netip.AddrPortFrom(addr, uint16(port)).String()
		if other := taken[key]; other != "" {
			fail(path, "%s is already the address of %s", key, other)
			return
		}
		taken[key] = path
	}
	if len(s.APISIX.NodeListen) == 0 {
		fail("apisix.node_listen", "at least one address is needed")
	}
	if s.ServesTraffic() {
		for i, l := range s.APISIX.NodeListen {
			take(fmt.Sprintf("apisix.node_listen[%d]", i), l.IP, l.Port)
		}
		take("apisix.proxy_protocol.listen_http_port", "", s.APISIX.ProxyProtocol.HTTPPort)
		take("apisix.proxy_protocol.listen_https_port", "", s.APISIX.ProxyProtocol.HTTPSPort)
		if s.APISIX.SSL.Enable {
			for i, l := range s.APISIX.SSL.Listen {
				take(fmt.Sprintf("apisix.ssl.listen[%d]", i), l.IP, l.Port)
			}
		}
	}
	if s.ServesAdmin() {
		take("deployment.admin.admin_listen", s.Deployment.Admin.Listen.IP, s.Deployment.Admin.Listen.Port)
	}
	if s.APISIX.EnableControl {
		take("apisix.control", s.APISIX.Control.IP, s.APISIX.Control.Port)
	}
	take("apisix.status", s.APISIX.Status.IP, s.APISIX.Status.Port)
	if s.PluginAttr.Prometheus.EnableExportServer {
		a := s.PluginAttr.Prometheus.ExportAddr
		take("plugin_attr.prometheus.export_addr", a.IP, a.Port)
	}
}

func (s *Settings) checkAdmin(fail failFunc) {
	a := &s.Deployment.Admin
	seen := map[string]bool{}
	for i, k := range a.Keys {
		path := fmt.Sprintf("deployment.admin.admin_key[%d]", i)
		if k.Key != "" && seen[k.Key] {
			fail(path, "two administrators have the same key")
		}
		seen[k.Key] = true
	}
	for i, network := range a.Allow {
		if !isNetwork(network) {
			fail(fmt.Sprintf("deployment.admin.allow_admin[%d]", i), "%q is neither an address nor a network", network)
		}
	}
	if a.HTTPS && (a.MTLS.Cert == "" || a.MTLS.Key == "") {
		fail("deployment.admin.https_admin", "admin_api_mtls.admin_ssl_cert and admin_ssl_cert_key are needed")
	}
}

func (s *Settings) checkEtcd(fail failFunc) {
	e := &s.Deployment.Etcd
	for i, host := range e.Host {
		u, err := url.Parse(host)
		if err != nil || u.Host == "" && u.Scheme != "unix" || !slices.Contains([]string{"http", "https", "unix"}, u.Scheme) {
			fail(fmt.Sprintf("deployment.etcd.host[%d]", i), "%q is no URL such as http://127.0.0.1:2379", host)
		}
	}
	if (e.User == "") != (e.Password == "") {
		fail("deployment.etcd", "user and password belong together: set both or none")
	}
	if (e.TLS.Cert == "") != (e.TLS.Key == "") {
		fail("deployment.etcd.tls", "cert and key belong together: set both or none")
	}
	if e.Prefix != "" && (e.Prefix[0] != '/' || strings.HasSuffix(e.Prefix, "/") || strings.Contains(e.Prefix, "//")) {
		fail("deployment.etcd.prefix", "%q must begin with a slash and not end with one", e.Prefix)
	}
	if s.Deployment.Role == RoleDataPlane && s.EmbeddedEtcd() {
		fail("deployment.etcd.host", "a data_plane has no embedded etcd: name the etcd of its control plane, "+
			"or set role_data_plane.config_provider to yaml")
	}
	if s.Deployment.Role == RoleControlPlane && s.Provider() != ProviderEtcd {
		fail("deployment.role_control_plane.config_provider", "a control_plane works with etcd only")
	}
}

func isNetwork(text string) bool {
	if _, err := netip.ParsePrefix(text); err == nil {
		return true
	}
	_, err := netip.ParseAddr(text)
	return err == nil
}
