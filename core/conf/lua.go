package conf

// luaFields are fields of resources that hold Lua source, with what to write
// instead.
var luaFields = []struct {
	field, instead string
}{
	{"filter_func", `write the condition as "vars", for example [["arg_name","==","json"]]`},
	{"script", `use "plugins"; conditions go into a plugin's _meta.filter or the route's "vars"`},
	{"script_id", `use "plugins"; conditions go into a plugin's _meta.filter or the route's "vars"`},
}

// luaPlugins are plugins whose configuration is Lua source.
var luaPlugins = map[string]string{
	"serverless-pre-function": "use proxy-rewrite, fault-injection or traffic-split with vars, or a plugin written in Go",
	"serverless-post-function": "use response-rewrite with vars, a logger's log_format, " +
		"or a plugin written in Go",
	"exit-transformer": "use response-rewrite with vars, or _meta.error_response of the plugin that ends the request",
}

// refuseLua names Lua-valued fields before the schema speaks, since its
// message could only be about their form.
func (c *check) refuseLua(m map[string]any) error {
	if c.kind != KindRoute && c.kind != KindService {
		return nil
	}
	for _, f := range luaFields {
		if _, ok := m[f.field]; ok && (c.kind == KindRoute || f.field == "script") {
			return refuse("%s holds Lua code, which this gateway cannot run: %s", f.field, f.instead)
		}
	}
	return nil
}

func refuseLuaPlugin(name string, meta map[string]any) error {
	if instead, ok := luaPlugins[name]; ok {
		return refuse("plugin [%s] runs Lua code, which this gateway cannot: %s", name, instead)
	}
	if _, ok := meta["pre_function"]; ok {
		return refuse("_meta.pre_function of plugin [%s] holds Lua code, which this gateway cannot run: "+
			`write the condition as _meta.filter, for example [["arg_name","==","json"]]`, name)
	}
	return nil
}
