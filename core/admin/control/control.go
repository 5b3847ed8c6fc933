// Package control is the Control API: it shows what the gateway has in memory
// and takes a few orders, on an address of its own that only operators reach.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"github.com/sluicegw/sluice/core/admin"
	"github.com/sluicegw/sluice/core/conf"
)

const (
	base        = "/v1"
	contentJSON = "application/json"
	contentHTML = "text/html; charset=utf-8"
	contentText = "text/plain; charset=utf-8"
)

// State is what the Control API shows; the control process provides it. All
// methods are called concurrently and must not block on the data process for
// longer than ctx allows where they take one.
type State interface {
	// Objects returns the objects of a kind that the gateway serves, in the
	// order of their creation. Values are read only.
	Objects(kind conf.Kind) []conf.Object
	// Health returns a snapshot of every active health checker.
	Health(ctx context.Context) ([]Health, error)
	// CollectGarbage collects garbage in both processes.
	CollectGarbage(ctx context.Context) error
	// ReloadPlugins re-reads the list of enabled plugins.
	ReloadPlugins(ctx context.Context) error
	// Discovery returns what a discovery module knows, false when there is no
	// such module.
	Discovery(name string) (any, bool)
	// Status returns the report behind "gw status"; it is marshalled as JSON.
	Status(ctx context.Context) (any, error)
}

// Health is the state of one health checker.
type Health struct {
	// Kind and ID name the object that holds the checks.
	Kind conf.Kind `json:"-"`
	ID   string    `json:"-"`
	// Name is the object's key in etcd.
	Name string `json:"name"`
	// Type is http, https or tcp.
	Type  string       `json:"type"`
	Nodes []HealthNode `json:"nodes"`
}

// HealthNode is one node under a checker.
type HealthNode struct {
	IP       string `json:"ip"`
	Port     int    `json:"port"`
	Hostname string `json:"hostname"`
	// Status is healthy, mostly_healthy, mostly_unhealthy or unhealthy.
	Status  string        `json:"status"`
	Counter HealthCounter `json:"counter"`
}

// HealthCounter holds the probes in a row that count towards the next state.
type HealthCounter struct {
	Success int `json:"success"`
	HTTP    int `json:"http_failure"`
	TCP     int `json:"tcp_failure"`
	Timeout int `json:"timeout_failure"`
}

// Options configure the API. State and Checker are required.
type Options struct {
	State   State
	Checker admin.Checker
	// Prefix is the etcd prefix, shown in keys ("/apisix").
	Prefix string
	// Timeout bounds one request (default 5 s).
	Timeout time.Duration
	// Extra are further handlers by "METHOD /path" below /v1, as plugins and
	// commands bring them along.
	Extra map[string]fasthttp.RequestHandler
}

// API is the Control API. It is safe for concurrent use.
type API struct {
	o   Options
	mux *router.Router
}

// New returns the API.
func New(o Options) *API {
	if o.State == nil || o.Checker == nil {
		panic("BUG: control.New without state or checker")
	}
	if o.Prefix == "" {
		o.Prefix = "/apisix"
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	api := &API{o: o}
	api.mux = api.routes()
	return api
}

// Handler serves the API; it answers every path.
func (api *API) Handler(ctx *fasthttp.RequestCtx) { api.mux.Handler(ctx) }

// call is one request with its time limit.
type call struct {
	http *fasthttp.RequestCtx
	ctx  context.Context
}

func (api *API) routes() *router.Router {
	r := router.New()
	r.RedirectTrailingSlash = false
	r.RedirectFixedPath = false
	r.HandleMethodNotAllowed = false
	r.HandleOPTIONS = false
	r.NotFound = func(ctx *fasthttp.RequestCtx) { fail(ctx, fasthttp.StatusNotFound, "not found") }
	add := func(method, path string, h func(*call)) {
		r.Handle(method, base+path, func(ctx *fasthttp.RequestCtx) {
			limit, cancel := context.WithTimeout(context.Background(), api.o.Timeout)
			defer cancel()
			h(&call{ctx, limit})
		})
	}
	add("GET", "/schema", api.schema)
	add("GET", "/healthcheck", api.allHealth)
	add("GET", "/healthcheck/{kind}", api.oneHealth)
	add("GET", "/healthcheck/{kind}/{id}", api.oneHealth)
	add("POST", "/gc", api.collect)
	for _, kind := range []conf.Kind{conf.KindRoute, conf.KindService, conf.KindUpstream} {
		add("GET", "/"+kind.Dir(), func(c *call) { api.objects(c, kind) })
		add("GET", "/"+kind.String()+"/{id}", func(c *call) { api.object(c, kind) })
	}
	add("GET", "/plugin_metadatas", api.allMetadata)
	add("GET", "/plugin_metadata/{id}", api.oneMetadata)
	add("PUT", "/plugins/reload", api.reload)
	add("GET", "/discovery/{name}/dump", api.discovery)
	add("GET", "/sluice/status", api.status)
	for pattern, handler := range api.o.Extra {
		method, path, _ := strings.Cut(pattern, " ")
		r.Handle(method, base+path, handler)
	}
	return r
}

func answer(ctx *fasthttp.RequestCtx, status int, body any) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		fail(ctx, fasthttp.StatusInternalServerError, "answer cannot be encoded: "+err.Error())
		return
	}
	ctx.SetStatusCode(status)
	ctx.SetContentType(contentJSON)
	ctx.SetBody(buf.Bytes())
}

func fail(ctx *fasthttp.RequestCtx, status int, text string) {
	answer(ctx, status, struct {
		Msg string `json:"error_msg"`
	}{text})
}

func (c *call) param(name string) string {
	text, _ := c.http.UserValue(name).(string)
	return text
}

func (api *API) collect(c *call) {
	if err := api.o.State.CollectGarbage(c.ctx); err != nil {
		fail(c.http, fasthttp.StatusServiceUnavailable, err.Error())
	}
}

func (api *API) reload(c *call) {
	if err := api.o.State.ReloadPlugins(c.ctx); err != nil {
		fail(c.http, fasthttp.StatusServiceUnavailable, err.Error())
		return
	}
	c.http.SetContentType(contentText)
	c.http.SetBodyString("done")
}

func (api *API) discovery(c *call) {
	dump, ok := api.o.State.Discovery(c.param("name"))
	if !ok {
		fail(c.http, fasthttp.StatusNotFound, "discovery module "+c.param("name")+" is not configured")
		return
	}
	answer(c.http, fasthttp.StatusOK, dump)
}

func (api *API) status(c *call) {
	report, err := api.o.State.Status(c.ctx)
	if err != nil {
		fail(c.http, fasthttp.StatusServiceUnavailable, err.Error())
		return
	}
	answer(c.http, fasthttp.StatusOK, report)
}

// mainSchemas are the resources under "main" in the schema answer.
var mainSchemas = []string{
	"consumer", "consumer_group", "credential", "global_rule", "plugin_config", "plugins", "proto", "route",
	"service", "ssl", "stream_route", "upstream", "upstream_hash_header_schema", "upstream_hash_vars_schema",
}

func (api *API) schema(c *call) {
	all := struct {
		Main    map[string]json.RawMessage  `json:"main"`
		Plugins map[string]admin.PluginInfo `json:"plugins"`
		Stream  map[string]admin.PluginInfo `json:"stream_plugins"`
	}{
		Main:    make(map[string]json.RawMessage, len(mainSchemas)),
		Plugins: admin.DescribePlugins(api.o.Checker, admin.HTTP),
		Stream:  admin.DescribePlugins(api.o.Checker, admin.Stream),
	}
	for _, name := range mainSchemas {
		if text, ok := api.o.Checker.Schema(name); ok {
			all.Main[name] = text
		}
	}
	answer(c.http, fasthttp.StatusOK, all)
}

// item is one object in memory.
type item struct {
	Key           string          `json:"key"`
	Value         json.RawMessage `json:"value"`
	CreatedIndex  int64           `json:"createdIndex"`
	ModifiedIndex int64           `json:"modifiedIndex"`
	HasDomain     bool            `json:"has_domain"`
}

func (api *API) item(o *conf.Object) item {
	return item{
		Key: api.o.Prefix + "/" + o.Kind.Dir() + "/" + o.ID, Value: o.Value,
		CreatedIndex: o.CreateRev, ModifiedIndex: o.Rev, HasDomain: hasDomain(o.Value),
	}
}

func (api *API) objects(c *call, kind conf.Kind) {
	objects := api.o.State.Objects(kind)
	items := make([]item, len(objects))
	for i := range objects {
		items[i] = api.item(&objects[i])
	}
	answer(c.http, fasthttp.StatusOK, items)
}

func (api *API) object(c *call, kind conf.Kind) {
	id := c.param("id")
	if o := api.find(kind, id); o != nil {
		answer(c.http, fasthttp.StatusOK, api.item(o))
		return
	}
	fail(c.http, fasthttp.StatusNotFound, kind.String()+"["+id+"] not found")
}

func (api *API) find(kind conf.Kind, id string) *conf.Object {
	objects := api.o.State.Objects(kind)
	for i := range objects {
		if objects[i].ID == id {
			return &objects[i]
		}
	}
	return nil
}

// hasDomain tells whether a node of the object's upstream is a name that has
// to be resolved.
func hasDomain(value []byte) bool {
	var v struct {
		Nodes    json.RawMessage `json:"nodes"`
		Upstream struct {
			Nodes json.RawMessage `json:"nodes"`
		} `json:"upstream"`
	}
	if json.Unmarshal(value, &v) != nil {
		return false
	}
	for _, nodes := range []json.RawMessage{v.Nodes, v.Upstream.Nodes} {
		var list []struct {
			Host string `json:"host"`
		}
		var weights map[string]json.RawMessage
		if json.Unmarshal(nodes, &list) == nil {
			for _, n := range list {
				if isDomain(n.Host) {
					return true
				}
			}
		} else if json.Unmarshal(nodes, &weights) == nil {
			for name := range weights {
				if isDomain(name) {
					return true
				}
			}
		}
	}
	return false
}

// isDomain tells a name from an address, with or without port.
func isDomain(host string) bool {
	if _, err := netip.ParseAddrPort(host); err == nil {
		return false
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host != "" && err != nil
}

func (api *API) allMetadata(c *call) {
	objects := api.o.State.Objects(conf.KindPluginMetadata)
	values := make([]json.RawMessage, len(objects))
	for i := range objects {
		values[i] = objects[i].Value
	}
	answer(c.http, fasthttp.StatusOK, values)
}

func (api *API) oneMetadata(c *call) {
	name := c.param("id")
	if o := api.find(conf.KindPluginMetadata, name); o != nil {
		answer(c.http, fasthttp.StatusOK, json.RawMessage(o.Value))
		return
	}
	fail(c.http, fasthttp.StatusNotFound, "plugin metadata["+name+"] not found")
}
