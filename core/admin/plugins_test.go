package admin

import (
	"context"
	"errors"
	"testing"
)

func TestPluginPaths(t *testing.T) {
	reload := error(nil)
	b := newBench(t, func(o *Options) { o.ReloadPlugins = func(context.Context) error { return reload } })
	b.run([]step{
		{"GET", "/plugins/list", ``, 200, `["basic-auth","jwt-auth","key-auth","limit-count","traffic-split","grpc-transcode","http-logger"]`},
		{"GET", "/plugins/list?subsystem=stream", ``, 200, `["mqtt-proxy"]`},
		{"GET", "/plugins/list?subsystem=x", ``, 400, `~invalid subsystem passed`},
		{"GET", "/plugins/limit-count", ``, 200, `{"title":"limit"}`},
		{"GET", "/plugins/key-auth?schema_type=consumer", ``, 200, `{"title":"keyc"}`},
		{"GET", "/plugins/limit-count?schema_type=consumer", ``, 400, `{"error_msg":"not found schema"}`},
		{"GET", "/plugins/nix", ``, 404, `{"error_msg":"plugin not found in subsystem http"}`},
		{"GET", "/plugins/limit-count?subsystem=stream", ``, 404, `{"error_msg":"plugin not found in subsystem stream"}`},
		{"GET", "/plugins/limit-count?subsystem=x", ``, 400, `{"error_msg":"unsupported subsystem: x"}`},
		{"GET", "/plugins", ``, 404, `{"error_msg":"plugin not found in subsystem http"}`},
		{"GET", "/plugins?all=true&subsystem=stream", ``, 200, `{"mqtt-proxy":{"version":0,"priority":1000,"schema":{}}}`},
		{"GET", "/plugins?all=true", ``, 200, `~"key-auth":{"version":0.1,"priority":2500,"schema":{"title":"key"},"consumer_schema":{"title":"keyc"},"type":"auth"}`},
		{"PUT", "/plugins/limit-count", `{}`, 404, ``},
		{"PUT", "/plugins/reload", ``, 200, `~done`},
		{"GET", "/plugins/reload", ``, 405, `{"error_msg":"please use PUT method to reload the plugins, GET method is not allowed."}`},
		{"POST", "/plugins/reload", ``, 405, ``}, {"PATCH", "/plugins/reload", ``, 405, ``}, {"DELETE", "/plugins/reload", ``, 405, ``},
		{"GET", "/schema/route", ``, 200, `{"type":"object"}`},
		{"GET", "/schema/nix", ``, 400, `{"error_msg":"not found schema: nix"}`},
		{"GET", "/schema/plugins/limit-count", ``, 200, `{"title":"limit"}`},
		{"GET", "/schema/plugins/nix", ``, 404, ``},
		{"POST", "/schema/validate/routes", `{"uri":"/a"}`, 200, ``},
		{"POST", "/schema/validate/routes", `{}`, 400, `{"error_msg":"property \"uri\" is required"}`},
		{"POST", "/schema/validate/routes", `{`, 400, `~invalid request body`},
		{"POST", "/schema/validate/route", `{}`, 404, `{"error_msg":"Unsupported resource type: route"}`},
		{"POST", "/schema/validate/secrets", `[]`, 400, ``},
	})
	if r := b.send("PUT", base+"/plugins/reload", ""); r.text != "done" {
		t.Errorf("reload answers %q", r.text)
	}
	if r := b.send("POST", base+"/schema/validate/routes", `{"uri":"/a"}`); r.text != "" {
		t.Errorf("validate answers %q", r.text)
	}
	reload = errors.New("disk full")
	b.run([]step{{"PUT", "/plugins/reload", ``, 503, `~disk full`}})
}
