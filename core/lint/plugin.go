package lint

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/expr"
	"github.com/sluicegw/sluice/core/match"
	"github.com/sluicegw/sluice/core/regex"
	"github.com/sluicegw/sluice/core/vars"
)

const modeWithParameter = match.ModeURIWithParameter

func decimal(n int) string { return strconv.Itoa(n) }

// Where plugins hold what is worth a look. A path is a list of fields; "*"
// stands for every element or field.
var (
	regexFields = map[string][]string{
		"proxy-rewrite":    {"regex_uri.even"},
		"redirect":         {"regex_uri.even"},
		"uri-blocker":      {"block_rules.*"},
		"ua-restriction":   {"allowlist.*", "denylist.*"},
		"response-rewrite": {"filters.*.regex"},
		"cors":             {"allow_origins_by_regex.*"},
	}
	templateFields = map[string][]string{
		"proxy-rewrite":    {"uri", "host", "headers.set.*", "headers.add.*"},
		"response-rewrite": {"headers.set.*", "headers.add.*"},
		"redirect":         {"uri"},
		"proxy-cache":      {"cache_key.*", "cache_bypass.*", "no_cache.*"},
		"limit-count":      {"rules.*.key"},
	}
	exprFields = map[string][]string{
		"traffic-split":    {"rules.*.match.*.vars"},
		"fault-injection":  {"abort.vars", "delay.vars"},
		"response-rewrite": {"vars"},
		"workflow":         {"rules.*.case"},
	}
	// anyExprFields and anyTemplateFields are those of every logger.
	anyExprFields     = []string{"include_req_body_expr", "include_resp_body_expr"}
	anyTemplateFields = []string{"log_format.*"}
	// verifyFields are the switches that turn the check of a certificate off.
	verifyFields = []string{"ssl_verify", "tls_verify", "verify", "https_verify_certificate"}
)

// plugins looks at the plugins of an object.
func (c *checker) plugins(kind conf.Kind, plugins conf.Plugins) {
	for _, name := range slices.Sorted(maps.Keys(plugins)) {
		c.plugin(kind, name, plugins[name])
	}
}

func (c *checker) plugin(kind conf.Kind, name string, raw json.RawMessage) {
	at := "plugins." + name
	var doc map[string]any
	if json.Unmarshal(raw, &doc) != nil {
		return
	}
	meta, _ := doc["_meta"].(map[string]any)
	if meta["disable"] == true {
		c.add("switched-off", Hint, at, "%s is disabled by _meta.disable", name)
		return
	}
	if filter, ok := meta["filter"]; ok {
		c.expr(at+"._meta.filter", filter)
	}
	if kind == conf.KindConsumer || kind == conf.KindCredential {
		return
	}
	for _, path := range regexFields[name] {
		visit(doc, strings.Split(path, "."), at, func(field string, v any) {
			if text, ok := v.(string); ok {
				c.pattern(field, text, name == "uri-blocker" && doc["case_insensitive"] == true)
			}
		})
	}
	for _, path := range append(slices.Clone(templateFields[name]), anyTemplateFields...) {
		visit(doc, strings.Split(path, "."), at, func(field string, v any) {
			if text, ok := v.(string); ok {
				c.template(field, text)
			}
		})
	}
	for _, path := range append(slices.Clone(exprFields[name]), anyExprFields...) {
		visit(doc, strings.Split(path, "."), at, c.expr)
	}
	c.limiterKey(at, doc)
	for _, field := range verifyFields {
		if doc[field] == false {
			c.add("verify-off", Warning, at+"."+field, "the certificate of the server that %s talks to is not checked", name)
		}
	}
	if name == "cors" && doc["allow_credential"] == true && doc["allow_origins"] == "**" {
		c.add("cors-open", Warning, at, "any web page may send requests with the user's cookies")
	}
}

// limiterKey looks at the key of the limiters.
func (c *checker) limiterKey(at string, doc map[string]any) {
	key, ok := doc["key"].(string)
	if !ok {
		return
	}
	switch doc["key_type"] {
	case "var":
		c.variable(at+".key", key)
	case "var_combination":
		c.template(at+".key", key)
	}
}

// metadata looks at a plugin's metadata.
func (c *checker) metadata(plugin string, raw json.RawMessage) {
	if c.opt.Known != nil && !c.opt.Known(plugin) {
		c.add("unused", Hint, "", "plugin %s does not run here", plugin)
	}
	var doc map[string]any
	if json.Unmarshal(raw, &doc) != nil {
		return
	}
	for _, path := range anyTemplateFields {
		visit(doc, strings.Split(path, "."), "", func(field string, v any) {
			if text, ok := v.(string); ok {
				c.template(field, text)
			}
		})
	}
}

// visit calls f for what a path of fields leads to.
func visit(v any, path []string, at string, f func(field string, v any)) {
	if len(path) == 0 {
		f(strings.TrimPrefix(at, "."), v)
		return
	}
	switch v := v.(type) {
	case map[string]any:
		if path[0] == "*" {
			for _, name := range slices.Sorted(maps.Keys(v)) {
				visit(v[name], path[1:], at+"."+name, f)
			}
		} else if next, ok := v[path[0]]; ok {
			visit(next, path[1:], at+"."+path[0], f)
		}
	case []any:
		for i, next := range v {
			if path[0] == "*" || path[0] == "even" && i%2 == 0 {
				visit(next, path[1:], at+"["+decimal(i)+"]", f)
			}
		}
	}
}

// expression looks at the variables and patterns of an expression.
func (c *checker) expression(field string, raw json.RawMessage) {
	if len(raw) == 0 {
		return
	}
	var rule any
	if json.Unmarshal(raw, &rule) == nil {
		c.expr(field, rule)
	}
}

func (c *checker) expr(field string, rule any) {
	e, err := expr.Compile(rule)
	if err != nil {
		c.add("invalid-expression", Error, field, "%s", err)
		return
	}
	for _, name := range e.Unknown() {
		c.unknown(field, name)
	}
	for _, p := range e.Backtracking() {
		c.backtracks(field, p)
	}
}

func (c *checker) variable(field, name string) {
	if _, ok := vars.Compile(strings.TrimPrefix(name, "$")); !ok {
		c.unknown(field, name)
	}
}

func (c *checker) template(field, text string) {
	if !strings.Contains(text, "$") {
		return
	}
	for _, name := range vars.CompileTemplate(text).Unknown() {
		// $1 is a capture of the pattern beside it.
		if _, err := strconv.Atoi(name); err != nil {
			c.unknown(field, name)
		}
	}
}

func (c *checker) unknown(field, name string) {
	c.add("unknown-variable", Warning, field, "variable %q is not known: it is always empty", name)
}

func (c *checker) pattern(field, text string, fold bool) {
	re, err := regex.Compile(text, fold)
	if err != nil {
		c.add("invalid-regex", Error, field, "%s", err)
		return
	}
	if re.Backtracks() {
		c.backtracks(field, text)
	}
}

func (c *checker) backtracks(field, pattern string) {
	c.add("pcre-only", Hint, field, "pattern %q needs the backtracking engine: it is slower, allocates, and gives up after %v; look-arounds and back-references are what it takes", pattern, regex.MatchTimeout)
}
