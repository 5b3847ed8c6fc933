package conf

import (
	"net/netip"
	"strings"
)

func (c *check) route(m map[string]any) error {
	if err := checkAddress("remote_addr", m["remote_addr"]); err != nil {
		return err
	}
	list, _ := m["remote_addrs"].([]any)
	for _, one := range list {
		if err := checkAddress("remote_addrs", one); err != nil {
			return err
		}
	}
	c.uri(m["uri"])
	uris, _ := m["uris"].([]any)
	for _, uri := range uris {
		c.uri(uri)
	}
	if vars, ok := m["vars"]; ok {
		return c.expression(vars)
	}
	return nil
}

func (c *check) expression(expr any) error {
	if c.v.ExprCheck == nil {
		return nil
	}
	if err := c.v.ExprCheck(appendJSON(nil, expr)); err != nil {
		return refuse("failed to validate the 'vars' expression: %s", err)
	}
	return nil
}

// uri warns of patterns that no request can match. They are no errors: APISIX
// stores them.
func (c *check) uri(v any) {
	uri, _ := v.(string)
	if uri != "" && uri[0] != '/' && uri[0] != '*' {
		c.warn("uri %q does not begin with a slash: no request will match it", uri)
	}
	if i := strings.IndexAny(uri, "?#"); i >= 0 {
		c.warn("uri %q contains %q: routes match the path only, never the query", uri, uri[i:i+1])
	}
}

// checkAddress refuses what the schema's patterns let through and nothing can
// be compared with, such as ":/8".
func checkAddress(field string, v any) error {
	text, _ := v.(string)
	if text == "" {
		return nil
	}
	var err error
	if strings.Contains(text, "/") {
		_, err = netip.ParsePrefix(text)
	} else {
		_, err = netip.ParseAddr(text)
	}
	if err != nil {
		return refuse("invalid %s %q: an IPv4 or IPv6 address or network (address/bits) is expected", field, text)
	}
	return nil
}
