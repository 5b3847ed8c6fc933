package control

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/sluicegw/sluice/core/admin"
	"github.com/sluicegw/sluice/core/conf"
)

type fakeState struct {
	objects map[conf.Kind][]conf.Object
	health  []Health
	fault   error
	gcs     int
}

func (s *fakeState) Objects(kind conf.Kind) []conf.Object { return s.objects[kind] }

func (s *fakeState) Health(context.Context) ([]Health, error) { return s.health, s.fault }

func (s *fakeState) CollectGarbage(context.Context) error {
	s.gcs++
	return s.fault
}

func (s *fakeState) ReloadPlugins(context.Context) error { return s.fault }

func (s *fakeState) Discovery(name string) (any, bool) {
	return map[string]int{"services": 1}, name == "consul"
}

func (s *fakeState) Status(context.Context) (any, error) {
	return map[string]string{"version": "1"}, s.fault
}

func object(kind conf.Kind, id, value string) conf.Object {
	return conf.Object{Kind: kind, ID: id, CreateRev: 3, Rev: 4, Value: []byte(value)}
}

func TestControlAPI(t *testing.T) {
	state := &fakeState{
		objects: map[conf.Kind][]conf.Object{
			conf.KindRoute:          {object(conf.KindRoute, "1", `{"uri":"/<a>","upstream":{"nodes":[{"host":"a.com","port":80}]}}`)},
			conf.KindUpstream:       {object(conf.KindUpstream, "u", `{"nodes":{"127.0.0.1:80":1}}`), object(conf.KindUpstream, "v", `{}`)},
			conf.KindPluginMetadata: {object(conf.KindPluginMetadata, "http-logger", `{"id":"http-logger"}`)},
		},
		health: []Health{{
			Kind: conf.KindUpstream, ID: "u", Name: "/apisix/upstreams/u", Type: "http",
			Nodes: []HealthNode{{IP: "127.0.0.1", Port: 80, Hostname: "127.0.0.1", Status: "unhealthy", Counter: HealthCounter{HTTP: 2}}},
		}},
	}
	api := New(Options{
		State: state, Checker: admin.Conf{Validator: &conf.Validator{}},
		Extra: map[string]fasthttp.RequestHandler{"GET /server_info": func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("mine") }},
	})
	ask := func(method, path, accept string) (int, string, string) {
		var ctx fasthttp.RequestCtx
		ctx.Request.Header.SetMethod(method)
		ctx.Request.Header.Set("Accept", accept)
		ctx.Request.SetRequestURI("/v1" + path)
		api.Handler(&ctx)
		return ctx.Response.StatusCode(), string(ctx.Response.Body()), string(ctx.Response.Header.ContentType())
	}
	f := func(method, path string, status int, want string) {
		t.Helper()
		s, body, _ := ask(method, path, "")
		if s != status {
			t.Errorf("%s %s: %d %s, want %d", method, path, s, body, status)
		}
		var g, w any
		if json.Unmarshal([]byte(body), &g) == nil && json.Unmarshal([]byte(want), &w) == nil {
			if !reflect.DeepEqual(g, w) {
				t.Errorf("%s %s: %s, want %s", method, path, body, want)
			}
		} else if body != want {
			t.Errorf("%s %s: %q, want %q", method, path, body, want)
		}
	}
	const route = `{"key":"/apisix/routes/1","value":{"uri":"/<a>","upstream":{"nodes":[{"host":"a.com","port":80}]}},"createdIndex":3,"modifiedIndex":4,"has_domain":true}`
	const checker = `{"name":"/apisix/upstreams/u","type":"http","nodes":[{"ip":"127.0.0.1","port":80,"hostname":"127.0.0.1","status":"unhealthy","counter":{"success":0,"http_failure":2,"tcp_failure":0,"timeout_failure":0}}]}`
	f("GET", "/routes", 200, "["+route+"]")
	f("GET", "/route/1", 200, route)
	f("GET", "/route/2", 404, `{"error_msg":"route[2] not found"}`)
	f("GET", "/services", 200, `[]`)
	f("GET", "/service/1", 404, `{"error_msg":"service[1] not found"}`)
	f("GET", "/upstream/u", 200, `{"key":"/apisix/upstreams/u","value":{"nodes":{"127.0.0.1:80":1}},"createdIndex":3,"modifiedIndex":4,"has_domain":false}`)
	f("GET", "/upstream/9", 404, `{"error_msg":"upstream[9] not found"}`)
	f("GET", "/plugin_metadatas", 200, `[{"id":"http-logger"}]`)
	f("GET", "/plugin_metadata/http-logger", 200, `{"id":"http-logger"}`)
	f("GET", "/plugin_metadata/x", 404, `{"error_msg":"plugin metadata[x] not found"}`)
	f("GET", "/healthcheck", 200, "["+checker+"]")
	f("GET", "/healthcheck/upstreams/u", 200, checker)
	f("GET", "/healthcheck/upstreams/v", 404, `{"error_msg":"no checker for upstreams[v]"}`)
	f("GET", "/healthcheck/upstreams/9", 404, `{"error_msg":"upstreams[9] not found"}`)
	f("GET", "/healthcheck/nodes/9", 400, `{"error_msg":"invalid src type nodes"}`)
	f("GET", "/healthcheck/upstreams", 404, `{"error_msg":"missing src id for src type upstreams"}`)
	f("POST", "/gc", 200, ``)
	f("GET", "/gc", 404, `{"error_msg":"not found"}`)
	f("PUT", "/plugins/reload", 200, `done`)
	f("GET", "/discovery/consul/dump", 200, `{"services":1}`)
	f("GET", "/discovery/nacos/dump", 404, `{"error_msg":"discovery module nacos is not configured"}`)
	f("GET", "/sluice/status", 200, `{"version":"1"}`)
	f("GET", "/server_info", 200, `mine`)
	f("GET", "/nonsense", 404, `{"error_msg":"not found"}`)
	if state.gcs != 1 {
		t.Errorf("%d collections", state.gcs)
	}
	s, body, kind := ask("GET", "/healthcheck", "text/html,*/*")
	if s != 200 || !strings.HasPrefix(kind, "text/html") || !strings.Contains(body, `class="down"><td>/apisix/upstreams/u</td>`) {
		t.Errorf("page: %d %s %s", s, kind, body)
	}
	s, body, _ = ask("GET", "/schema", "")
	var schema struct {
		Main    map[string]json.RawMessage
		Plugins map[string]struct{ Priority int }
		Stream  map[string]json.RawMessage `json:"stream_plugins"`
	}
	if err := json.Unmarshal([]byte(body), &schema); err != nil || s != 200 {
		t.Fatal(s, err)
	}
	if schema.Main["route"] == nil || schema.Main["upstream_hash_vars_schema"] == nil ||
		schema.Plugins["limit-count"].Priority != 1002 || schema.Stream["mqtt-proxy"] == nil {
		t.Errorf("schema: %.300s", body)
	}
	state.fault = errors.New("data process is restarting")
	for _, path := range []string{"/healthcheck", "/healthcheck/upstreams/u", "/sluice/status"} {
		f("GET", path, 503, `{"error_msg":"data process is restarting"}`)
	}
	f("POST", "/gc", 503, `{"error_msg":"data process is restarting"}`)
	f("PUT", "/plugins/reload", 503, `{"error_msg":"data process is restarting"}`)
}

func TestHasDomain(t *testing.T) {
	f := func(value string, want bool) {
		t.Helper()
		if hasDomain([]byte(value)) != want {
			t.Errorf("%s: want %v", value, want)
		}
	}
	f(`{"nodes":{"127.0.0.1:80":1}}`, false)
	f(`{"nodes":{"127.0.0.1":1,"[::1]:80":1,"[::1]":1}}`, false)
	f(`{"nodes":{"a.com:80":1}}`, true)
	f(`{"nodes":[{"host":"10.0.0.1"},{"host":"svc"}]}`, true)
	f(`{"upstream":{"nodes":{"a":1}}}`, true)
	f(`{"uri":"/"}`, false)
	f(`nonsense`, false)
}
