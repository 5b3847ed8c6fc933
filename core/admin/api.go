package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
)

const base = "/apisix/admin"

// API is the Admin API. It is safe for concurrent use.
type API struct {
	o    Options
	door doorkeeper
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
	api := &API{o: o, door: newDoorkeeper(&o)}
	api.mux = api.routes()
	return api
}

// Handler serves the API; it answers every path. Bodies must arrive as
// streams (httpd.Options.StreamBody), since it bounds them by path.
func (api *API) Handler(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType(contentJSON)
	ctx.Response.Header.Set("X-API-VERSION", "v3")
	if !api.door.admits(remote(ctx)) {
		answer(ctx, fasthttp.StatusForbidden,
			errorBody{"this address may not use the Admin API, see deployment.admin.allow_admin"})
		return
	}
	if api.o.CORS {
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
		name, why := api.door.check(ctx)
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

// param is true when a query parameter has exactly that value.
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

// node is one object in an answer.
type node struct {
	Key           string `json:"key"`
	Value         any    `json:"value"`
	CreatedIndex  int64  `json:"createdIndex,omitempty"`
	ModifiedIndex int64  `json:"modifiedIndex,omitempty"`
}

// show returns a stored value as clients see it: plugin secrets opened, what
// is hidden left out.
func (api *API) show(res *resource, id string, stored []byte) (map[string]any, error) {
	value, err := decodeObject(stored)
	if err != nil {
		return nil, err
	}
	api.o.Keyring.DecryptPlugins(res.kind, id, value)
	for _, name := range res.hidden {
		delete(value, name)
	}
	return value, nil
}

// get answers one object or a list.
func (c *call) get(a address) error {
	if a.id == "" {
		return c.list(a)
	}
	id := a.objectID(a.id)
	o, err := c.api.o.Store.Get(c.ctx, a.res.kind, id)
	if errors.Is(err, store.ErrNotFound) {
		return notFound()
	}
	if err != nil {
		return err
	}
	value, err := c.api.show(a.res, id, o.Value)
	if err != nil {
		return refuse(fasthttp.StatusServiceUnavailable,
			"the stored value of %s is unusable, write it again: %v", c.api.keyOf(a.res.kind, id), err)
	}
	return c.answer(fasthttp.StatusOK, node{c.api.keyOf(a.res.kind, id), value, o.CreateRev, o.Rev})
}

// list answers a collection, filtered and paged.
func (c *call) list(a address) error {
	args := c.http.QueryArgs()
	p, failed := parsePage(args)
	if failed != nil {
		return failed
	}
	f, ignored := parseFilter(args, a.res.filters)
	if len(ignored) > 0 {
		c.api.o.Log.Warn("list filter has fields that the resource does not offer", "resource", a.res.dir, "fields", ignored)
	}
	listing, err := c.api.o.Store.List(c.ctx, a.res.kind, a.listPrefix())
	if err != nil {
		return err
	}
	if a.res.ids == idNested && len(listing.Objects) == 0 {
		// Nested collections have no placeholder in etcd, so APISIX does not
		// find them while they are empty.
		return notFound()
	}
	objects := listing.Objects
	if f.active() {
		objects = objects[:0:0]
		for _, o := range listing.Objects {
			if value, err := decodeObject(o.Value); err == nil && f.matches(value) {
				objects = append(objects, o)
			}
		}
	}
	total := len(objects)
	from, to := p.slice(total)
	nodes := make([]node, 0, to-from)
	for _, o := range objects[from:to] {
		value, err := c.api.show(a.res, o.ID, o.Value)
		if err != nil {
			c.api.o.Log.Warn("object left out of a list: its stored value is unusable",
				"key", c.api.keyOf(o.Kind, o.ID), "error", err)
			total--
			continue
		}
		nodes = append(nodes, node{c.api.keyOf(o.Kind, o.ID), value, o.CreateRev, o.Rev})
	}
	return c.answer(fasthttp.StatusOK, struct {
		Total int    `json:"total"`
		List  []node `json:"list"`
	}{total, nodes})
}

// rawJSON lets schemas pass through encode unchanged.
func rawJSON(text []byte) json.RawMessage { return json.RawMessage(text) }
