package lint

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluicegw/sluice/core/conf"
)

// CheckObject looks at one object by itself. It is cheap enough for every
// write: its cost depends on the object alone.
func CheckObject(o Options, obj *conf.Object) []Finding {
	c := &checker{opt: o, name: name(obj.Kind, obj.ID)}
	v, err := conf.Decode(obj)
	if err != nil {
		return nil // the check says so
	}
	switch v := v.(type) {
	case *conf.Route:
		c.route(v)
		c.upstream("upstream", v.Upstream, v.Timeout != nil)
		c.plugins(obj.Kind, v.Plugins)
	case *conf.Service:
		c.upstream("upstream", v.Upstream, false)
		c.plugins(obj.Kind, v.Plugins)
	case *conf.Upstream:
		c.upstream("", v, false)
	case *conf.PluginConfig:
		c.plugins(obj.Kind, v.Plugins)
	case *conf.GlobalRule:
		c.plugins(obj.Kind, v.Plugins)
	case *conf.ConsumerGroup:
		c.plugins(obj.Kind, v.Plugins)
	case *conf.Consumer:
		c.plugins(obj.Kind, v.Plugins)
	case *conf.Credential:
		c.plugins(obj.Kind, v.Plugins)
	case *conf.StreamRoute:
		c.upstream("upstream", v.Upstream, false)
	case *conf.PluginMetadata:
		c.metadata(obj.ID, v.Conf)
	case *conf.SSL:
		c.ssl(v)
	}
	return c.out
}

type checker struct {
	opt  Options
	name string
	out  []Finding
}

func (c *checker) add(rule string, s Severity, field, format string, args ...any) {
	c.out = append(c.out, Finding{Rule: rule, Severity: s, Object: c.name, Field: field, Text: fmt.Sprintf(format, args...)})
}

// neverServed are methods that the gateway answers itself, with 405.
var neverServed = []string{"CONNECT", "TRACE"}

func (c *checker) route(r *conf.Route) {
	if !r.Enabled() {
		c.add("switched-off", Hint, "status", "the route is switched off: its status is 0")
	}
	paths := r.Paths()
	for _, uri := range paths {
		field := "uris"
		if r.URI == uri {
			field = "uri"
		}
		if why := c.unreachable(uri); why != "" {
			c.add("unreachable", Warning, field, "%q fits no request: %s", uri, why)
		}
		if c.opt.parameterLooking(uri) {
			c.add("literal-parameter", Warning, field, "%q: the colon is taken literally; path parameters need apisix.router.http: radixtree_uri_with_parameter", uri)
		}
	}
	if len(r.Methods) > 0 && !slices.ContainsFunc(r.Methods, func(m string) bool { return !slices.Contains(neverServed, m) }) {
		c.add("unreachable", Warning, "methods", "the gateway answers %s itself, with 405", strings.Join(r.Methods, " and "))
	}
	if len(r.Methods) > 0 && slices.Contains(r.Methods, "GET") && !slices.Contains(r.Methods, "HEAD") {
		c.add("get-without-head", Hint, "methods", "HEAD is not implied by GET: such requests find another route or none")
	}
	c.expression("vars", r.Vars)
	if r.Upstream == nil && r.UpstreamID == "" && r.ServiceID == "" && len(r.Plugins) == 0 && r.PluginConfigID == "" {
		c.add("no-upstream", Error, "", "the route has neither upstream nor service nor plugins: every request gets 503")
	}
}

// parameterLooking tells whether a path is written for another router mode.
func (o *Options) parameterLooking(uri string) bool {
	return o.Match.Mode != modeWithParameter && strings.Contains(uri, "/:")
}

// unreachable says why no normalised path fits a path pattern.
func (c *checker) unreachable(uri string) string {
	path, _, _ := strings.Cut(uri, "*")
	switch {
	case !strings.HasPrefix(uri, "/") && !strings.HasPrefix(uri, "*"):
		return "paths begin with a slash"
	case strings.Contains(path, "//"):
		return "repeated slashes of a request are merged before routes are looked up"
	case strings.Contains(path+"\x00", "/./"), strings.HasSuffix(path, "/.") && path == uri,
		strings.Contains(path, "/../"), strings.HasSuffix(path, "/..") && path == uri:
		return "dot segments of a request are resolved before routes are looked up"
	case strings.Contains(path, "?"):
		return "a query is no part of the path: use vars such as [[\"arg_name\",\"==\",\"value\"]]"
	case strings.Contains(path, "#"):
		return "a fragment is never sent by a client"
	case path == uri && len(path) > 1 && strings.HasSuffix(path, "/") && c.opt.Match.DeleteTailSlash:
		return "apisix.delete_uri_tail_slash strips the slash at the end of a request's path"
	}
	if escape := c.escape(path); escape != "" {
		return fmt.Sprintf("a request's path is percent-decoded before routes are looked up; write what %s stands for", escape)
	}
	return ""
}

// escape finds a percent-escape that decoding would have removed.
func (c *checker) escape(path string) string {
	for i := 0; i+2 < len(path); i++ {
		if path[i] != '%' || !hex(path[i+1]) || !hex(path[i+2]) {
			continue
		}
		text := path[i : i+3]
		if strings.EqualFold(text, "%2F") && c.opt.EncodedSlash || text == "%25" {
			continue
		}
		return text
	}
	return ""
}

func hex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'f'
}

// soon is how long before its end a certificate is a finding.
const soon = 14 * 24 * time.Hour

// ssl looks at a certificate's time and at the patterns of exempt paths.
func (c *checker) ssl(s *conf.SSL) {
	if !s.Enabled() {
		c.add("switched-off", Hint, "status", "the certificate is switched off: its status is 0")
		return
	}
	for i, text := range append([]string{s.Cert}, s.Certs...) {
		field := "cert"
		if i > 0 {
			field = "certs[" + decimal(i-1) + "]"
		}
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			continue // a reference, or refused by the check
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		switch left := time.Until(cert.NotAfter); {
		case left <= 0:
			c.add("expired", Error, field, "the certificate ended on %s", cert.NotAfter.Format(time.DateOnly))
		case left < soon:
			c.add("expires-soon", Warning, field, "the certificate ends on %s", cert.NotAfter.Format(time.DateOnly))
		}
	}
	if s.Client == nil {
		return
	}
	for _, p := range s.Client.SkipMTLSURIRegex {
		c.pattern("client.skip_mtls_uri_regex", p, false)
	}
}
