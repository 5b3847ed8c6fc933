package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"github.com/sluicegw/sluice/core/conf"
)

const base = "/apisix/admin"

// API is the Admin API. It is safe for concurrent use.
type API struct {
	o    Options
	door atomic.Pointer[doorkeeper]
	mux  *router.Router
}

// New returns the API; Store and Checker of o must be set.
func New(o Options) *API {
	if o.Store == nil && o.Configs == nil || o.Checker == nil {
		panic("BUG: admin.New without store or checker")
	}
	if o.Prefix == "" {
		o.Prefix = "/apisix"
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	api := &API{o: o}
	api.SetAccess(o.Access)
	api.mux = api.routes()
	return api
}

// SetAccess changes who gets in, from the next request on.
func (api *API) SetAccess(a Access) { api.door.Store(newDoorkeeper(&a)) }

// Handler serves the API; it answers every path. Bodies must arrive as
// streams (httpd.Options.StreamBody), since it bounds them by path.
func (api *API) Handler(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType(contentJSON)
	ctx.Response.Header.Set("X-API-VERSION", "v3")
	door := api.door.Load()
	if !door.admits(remote(ctx)) {
		answer(ctx, fasthttp.StatusForbidden,
			errorBody{"this address may not use the Admin API, see deployment.admin.allow_admin"})
		return
	}
	if door.cors {
		if ctx.IsOptions() {
			answerPreflight(ctx)
			return
		}
		setCORS(ctx)
	}
	api.mux.Handler(ctx)
}

func (api *API) routes() *router.Router {
	r := router.New()
	// The paths of resources hold ids and sub-paths: nothing is guessed.
	r.RedirectTrailingSlash = false
	r.RedirectFixedPath = false
	r.HandleMethodNotAllowed = false
	r.HandleOPTIONS = false
	r.NotFound = func(ctx *fasthttp.RequestCtx) {
		answer(ctx, fasthttp.StatusNotFound, errorBody{"not found"})
	}
	r.HEAD(base, func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(fasthttp.StatusOK) })
	for _, method := range []string{"GET", "PUT", "POST", "PATCH", "DELETE"} {
		r.Handle(method, base+"/plugins/reload", api.guarded(api.reloadPlugins))
	}
	r.GET(base+"/plugins/list", api.guarded(api.listPlugins))
	r.GET(base+"/plugins", api.guarded(api.getPlugin))
	r.GET(base+"/plugins/{name}", api.guarded(api.getPlugin))
	r.GET(base+"/schema/plugins/{name}", api.guarded(api.getPlugin))
	r.GET(base+"/schema/{name}", api.guarded(api.getSchema))
	r.POST(base+"/schema/validate/{dir}", api.guarded(api.validateSchema))
	r.POST(base+"/configs/validate", api.guarded(api.validateConfigs))
	if api.o.Configs != nil {
		r.GET(base+"/configs", api.guarded(api.getConfigs))
		r.HEAD(base+"/configs", api.guarded(api.headConfigs))
		r.PUT(base+"/configs", api.guarded(api.putConfigs))
		return r
	}
	r.POST(base+"/changes", api.guarded(api.postChanges))
	for method := range verbs {
		r.Handle(method, base+"/{rest:*}", api.guarded(api.resource))
	}
	return r
}

// guarded puts the key check in front of a handler and turns its error into
// the answer.
func (api *API) guarded(next func(*call) error) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		defer drain(ctx)
		name, why := api.door.Load().check(ctx)
		if why != "" {
			api.o.Log.Warn("admin request refused", "reason", why,
				"client", remote(ctx).String(), "method", string(ctx.Method()), "path", string(ctx.Path()))
			answer(ctx, fasthttp.StatusUnauthorized, struct {
				Msg string `json:"error_msg"`
				Why string `json:"description"`
			}{"failed to check token", why})
			return
		}
		limit, cancel := context.WithTimeout(context.Background(), api.o.Timeout)
		defer cancel()
		c := &call{api: api, http: ctx, ctx: limit, who: caller{name, remote(ctx)}}
		if err := next(c); err != nil {
			c.fail(err)
		}
	}
}

// call is one request past the key check.
type call struct {
	api  *API
	http *fasthttp.RequestCtx
	ctx  context.Context
	who  caller
}

func (c *call) fail(err error) {
	var f *failure
	if !errors.As(err, &f) {
		c.api.o.Log.Error("admin request failed", "error", err,
			"method", string(c.http.Method()), "path", string(c.http.Path()))
		f = explainStore(err)
	}
	answer(c.http, f.status, f.body)
}

func (c *call) answer(status int, body any) error {
	answer(c.http, status, body)
	return nil
}

// segments returns the path's parts after the base, decoded, without empty
// ones at the end.
func (c *call) segments() []string {
	rest := strings.TrimPrefix(string(c.http.Path()), base)
	return strings.Split(strings.Trim(rest, "/"), "/")
}

// flag is true when a query parameter has exactly that value.
func (c *call) flag(name string) bool {
	return string(c.http.QueryArgs().Peek(name)) == "true"
}

// resource serves every path of a declared resource.
func (api *API) resource(c *call) error {
	segments := c.segments()
	if segments[0] == "stream_routes" && !api.o.StreamEnabled {
		return invalid("stream mode is disabled, can not add stream routes")
	}
	a, ok := parseAddress(segments)
	if !ok {
		if segments[0] == "plugins" || segments[0] == "schema" {
			return refuse(fasthttp.StatusNotFound, "not found")
		}
		return refuse(fasthttp.StatusNotFound, "Unsupported resource type: %s", segments[0])
	}
	method := string(c.http.Method())
	body, hasBody, err := c.jsonBody()
	if err != nil {
		return err
	}
	ttl, err := parseTTL(c.http.QueryArgs())
	if err != nil {
		return err
	}
	v := verbs[method]
	if a.res.refused&v != 0 {
		return refuse(fasthttp.StatusMethodNotAllowed, "not supported `%s` method for %s", method, a.res.label)
	}
	if len(a.sub) > 0 && v != verbPatch {
		return refuse(fasthttp.StatusNotFound, "not found: nothing lies below a %s; only PATCH takes a sub-path", a.res.label)
	}
	if v == verbGet {
		return c.get(a)
	}
	return c.write(func(d *draft) (*edit, error) {
		switch v {
		case verbPatch:
			return d.planPatch(a, clone(body), hasBody, ttl)
		case verbDelete:
			return d.planDelete(a, c.flag("force"))
		}
		return d.planWrite(a, v, clone(body), ttl)
	}, v == verbPatch)
}

// check validates a plain value as a whole and returns the warnings.
func (api *API) check(kind conf.Kind, id string, value map[string]any) ([]string, error) {
	if api.o.Keyring != nil {
		// A client may send back the encrypted private key that it was shown.
		value = clone(value).(map[string]any)
		api.o.Keyring.OpenKeys(kind, value)
	}
	warnings, err := api.o.Checker.Check(kind, id, compact(value))
	if err != nil {
		return nil, invalid("%s", conf.AdminMessage(err))
	}
	return warnings, nil
}

// keyOf is an object's key in etcd, as answers show it.
func (api *API) keyOf(kind conf.Kind, id string) string {
	if kind == conf.KindCredential {
		return api.o.Prefix + "/consumers/" + id
	}
	return api.o.Prefix + "/" + kind.Dir() + "/" + id
}

// formatUnix is the form of the times in a value.
func formatUnix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// rawJSON lets schemas pass through encode unchanged.
func rawJSON(text []byte) json.RawMessage { return json.RawMessage(text) }
