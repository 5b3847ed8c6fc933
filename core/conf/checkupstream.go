package conf

import (
	"regexp"
	"slices"
	"strings"
)

// What a key may be is part of APISIX's contract, to the letter: A-z is meant
// as it is written.
var (
	hashVar = regexp.MustCompile(`^((uri|server_name|server_addr|request_uri|remote_port|remote_addr|query_string|` +
		`host|hostname|mqtt_client_id)|arg_[0-9a-zA-z_-]+)$`)
	hashName = regexp.MustCompile(`^[a-zA-Z0-9-_]+$`)
)

// upstream holds the rules between an upstream's fields. m has defaults.
func (c *check) upstream(m map[string]any) error {
	str := func(field string) string { s, _ := m[field].(string); return s }
	kind := str("type")
	if !slices.Contains(UpstreamTypes, kind) {
		return refuse("unknown balancer type %q: use one of %s", kind, strings.Join(UpstreamTypes, ", "))
	}
	if str("pass_host") == "rewrite" && str("upstream_host") == "" {
		return refuse("`upstream_host` can't be empty when `pass_host` is `rewrite`")
	}
	if nodes, ok := m["nodes"].(map[string]any); ok {
		for _, addr := range sortedNames(nodes) {
			if _, _, err := splitNode(addr); err != nil {
				return refuse("%s", err)
			}
		}
	}
	completeChecks(m)
	if tls, ok := m["tls"].(map[string]any); ok {
		cert, _ := tls["client_cert"].(string)
		key, _ := tls["client_key"].(string)
		if cert != "" {
			if err := checkPair(cert, key); err != nil {
				return err
			}
		}
	}
	switch str("scheme") {
	case "kafka":
		c.warn("upstream scheme kafka is not proxied by this gateway")
	}
	if kind == "chash" || kind == "emmie" {
		return checkHashKey(kind, str("hash_on"), m["key"])
	}
	return nil
}

// completeChecks writes out both halves of an active check: the schema fills in
// what an object lacks, not the object itself, and a probe needs both.
func completeChecks(m map[string]any) {
	checks, _ := m["checks"].(map[string]any)
	active, ok := checks["active"].(map[string]any)
	if !ok {
		return
	}
	if _, ok := active["healthy"]; !ok {
		active["healthy"] = map[string]any{"interval": 1.0, "successes": 2.0, "http_statuses": []any{200.0, 302.0}}
	}
	if _, ok := active["unhealthy"]; !ok {
		active["unhealthy"] = map[string]any{"interval": 1.0, "http_failures": 5.0, "tcp_failures": 2.0, "timeouts": 3.0,
			"http_statuses": []any{429.0, 404.0, 500.0, 501.0, 502.0, 503.0, 504.0, 505.0}}
	}
}

// checkHashKey checks what a consistent hash looks at.
func checkHashKey(kind, on string, v any) error {
	key, given := v.(string)
	if on == "consumer" {
		return nil
	}
	if !given {
		return refuse("missing key")
	}
	var want *regexp.Regexp
	switch on {
	case "vars":
		want = hashVar
	case "header", "cookie":
		want = hashName
	case "vars_combinations":
		return nil
	default:
		return refuse("type is %s, err: invalid hash_on type %s", kind, on)
	}
	if !want.MatchString(key) {
		return refuse("invalid configuration: failed to match pattern %q with %q", want, key)
	}
	return nil
}
