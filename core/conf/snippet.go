package conf

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// snippetTo says which setting a directive of raw nginx configuration means.
// An empty string: it has no setting, and the text says why.
var snippetTo = map[string]string{
	"client_max_body_size":        "nginx_config.http.client_max_body_size",
	"client_body_timeout":         "nginx_config.http.client_body_timeout",
	"client_header_timeout":       "nginx_config.http.client_header_timeout",
	"keepalive_timeout":           "nginx_config.http.keepalive_timeout",
	"keepalive_requests":          "nginx_config.http.keepalive_requests",
	"send_timeout":                "nginx_config.http.send_timeout",
	"underscores_in_headers":      "nginx_config.http.underscores_in_headers",
	"real_ip_header":              "nginx_config.http.real_ip_header",
	"real_ip_recursive":           "nginx_config.http.real_ip_recursive",
	"set_real_ip_from":            "nginx_config.http.real_ip_from (a list)",
	"server_tokens":               "apisix.enable_server_tokens",
	"worker_connections":          "nginx_config.event.worker_connections",
	"worker_rlimit_nofile":        "nginx_config.worker_rlimit_nofile",
	"worker_shutdown_timeout":     "nginx_config.worker_shutdown_timeout",
	"ssl_protocols":               "apisix.ssl.ssl_protocols",
	"ssl_ciphers":                 "apisix.ssl.ssl_ciphers",
	"ssl_session_tickets":         "apisix.ssl.ssl_session_tickets",
	"resolver":                    "apisix.dns_resolver",
	"resolver_timeout":            "apisix.resolver_timeout",
	"proxy_connect_timeout":       "timeout.connect of the upstream or route",
	"proxy_send_timeout":          "timeout.send of the upstream or route",
	"proxy_read_timeout":          "timeout.read of the upstream or route",
	"proxy_next_upstream":         "retries and retry_on of the upstream",
	"gzip":                        "the plugin gzip",
	"gzip_types":                  "the plugin gzip",
	"gzip_min_length":             "the plugin gzip",
	"brotli":                      "the plugin brotli",
	"add_header":                  "the plugin response-rewrite",
	"proxy_set_header":            "the plugin proxy-rewrite",
	"limit_req":                   "the plugin limit-req",
	"limit_conn":                  "the plugin limit-conn",
	"access_log":                  "nginx_config.http.access_log",
	"log_format":                  "nginx_config.http.access_log_format",
	"allow":                       "the plugin ip-restriction",
	"deny":                        "the plugin ip-restriction",
	"large_client_header_buffers": "sluice.limits (max_head, max_uri)",
	"proxy_buffering":             "nothing is needed: responses stream as they come",
	"proxy_request_buffering":     "nothing is needed: request bodies stream as they come",
	"proxy_http_version":          "nothing is needed: upstreams are spoken to by HTTP/1.1",
	"tcp_nodelay":                 "nothing is needed: it is on",
	"tcp_nopush":                  "nothing is needed",
	"sendfile":                    "nothing is needed",
}

// snippetTaken are the directives that are taken over from the snippets of the
// HTTP and server level, as the settings of the same name in nginx_config.http.
var snippetTaken = []string{
	"client_body_timeout", "client_header_timeout", "client_max_body_size", "keepalive_requests",
	"keepalive_timeout", "send_timeout", "underscores_in_headers",
}

// taken is a directive that is applied when the file has been read.
type taken struct {
	name, value string
	at          *yaml.Node
	path        string
}

// maxSnippetNotices bounds what one snippet makes us say.
const maxSnippetNotices = 50

// snippet reports every directive of a raw piece of nginx configuration.
func (d *decoder) snippet(n *yaml.Node, path string) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, path, "a string")
		return
	}
	for i, s := range nginxStatements(n.Value) {
		if i == maxSnippetNotices {
			d.notice(n, path, "further directives are not listed")
			return
		}
		line := &yaml.Node{Line: n.Line + s.line}
		if slices.Contains(snippetTaken, s.name) && takes(path) {
			_, value, _ := strings.Cut(s.text, " ")
			value, _, _ = strings.Cut(value, " ")
			d.taken = append(d.taken, taken{name: s.name, value: strings.Trim(value, `"'`), at: line, path: path})
			d.notice(line, path, fmt.Sprintf("%q is taken over as nginx_config.http.%s; better write it there", s.text, s.name))
			continue
		}
		if to := snippetTo[s.name]; to != "" {
			d.notice(line, path, fmt.Sprintf("raw nginx configuration is not read; instead of %q use %s", s.text, to))
			continue
		}
		d.notice(line, path, fmt.Sprintf("raw nginx configuration is not read: %q has no counterpart here", s.text))
	}
}

func takes(path string) bool {
	return path == "nginx_config.http_configuration_snippet" || path == "nginx_config.http_server_configuration_snippet"
}

// takeOver applies the directives that snippets share with nginx_config.http:
// the server level last, as in nginx, and both over the file's own keys.
func (d *decoder) takeOver(s *Settings) {
	v := reflect.ValueOf(&s.Nginx.HTTP).Elem()
	byName, _ := fieldsByName(v.Type())
	slices.SortStableFunc(d.taken, func(a, b taken) int { return strings.Compare(a.path, b.path) })
	for _, t := range d.taken {
		i := byName[t.name]
		tag := v.Type().Field(i).Tag
		err := setText(v.Field(i), t.value, tag)
		if err == nil {
			err = checkLimits(v.Field(i), tag)
		}
		if err != nil {
			d.fail(t.at, t.path, "%s: %s", t.name, err)
		}
	}
}

type statement struct {
	name, text string
	line       int // from 0
}

// nginxStatements splits configuration text into its directives; of a block
// the head is one, and what is inside follows. Comments are left out.
func nginxStatements(text string) []statement {
	var out []statement
	var b strings.Builder
	line, start := 0, 0
	flush := func() {
		one := strings.Join(strings.Fields(b.String()), " ")
		b.Reset()
		if one == "" {
			return
		}
		name, _, _ := strings.Cut(one, " ")
		out = append(out, statement{name: name, text: clip(one, 100), line: start})
	}
	var quote byte
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\n' {
			line++
		}
		switch {
		case quote != 0:
			if c == '\\' && i+1 < len(text) {
				b.WriteByte(c)
				i++
				c = text[i]
			} else if c == quote {
				quote = 0
			}
			b.WriteByte(c)
		case c == '"' || c == '\'':
			quote = c
			b.WriteByte(c)
		case c == '#':
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case c == ';' || c == '{' || c == '}':
			flush()
		default:
			if strings.TrimSpace(b.String()) == "" && c > ' ' {
				start = line
			}
			b.WriteByte(c)
		}
	}
	flush()
	return out
}
