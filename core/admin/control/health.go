package control

import (
	"html/template"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluicegw/sluice/core/conf"
)

// healthKinds are the objects that may hold health checks.
var healthKinds = map[string]conf.Kind{
	"routes":        conf.KindRoute,
	"services":      conf.KindService,
	"upstreams":     conf.KindUpstream,
	"stream_routes": conf.KindStreamRoute,
}

func (api *API) allHealth(c *call) {
	list, err := api.o.State.Health(c.ctx)
	if err != nil {
		fail(c.http, fasthttp.StatusServiceUnavailable, err.Error())
		return
	}
	if list == nil {
		list = []Health{}
	}
	if !c.page(list) {
		answer(c.http, fasthttp.StatusOK, list)
	}
}

func (api *API) oneHealth(c *call) {
	dir, id := c.param("kind"), c.param("id")
	if id == "" {
		fail(c.http, fasthttp.StatusNotFound, "missing src id for src type "+dir)
		return
	}
	kind, ok := healthKinds[dir]
	if !ok {
		fail(c.http, fasthttp.StatusBadRequest, "invalid src type "+dir)
		return
	}
	list, err := api.o.State.Health(c.ctx)
	if err != nil {
		fail(c.http, fasthttp.StatusServiceUnavailable, err.Error())
		return
	}
	for i := range list {
		if list[i].Kind == kind && list[i].ID == id {
			if !c.page(list[i : i+1]) {
				answer(c.http, fasthttp.StatusOK, list[i])
			}
			return
		}
	}
	if api.find(kind, id) != nil {
		fail(c.http, fasthttp.StatusNotFound, "no checker for "+dir+"["+id+"]")
		return
	}
	fail(c.http, fasthttp.StatusNotFound, dir+"["+id+"] not found")
}

// healthPage is for a browser: nodes that are down stand out.
var healthPage = template.Must(template.New("health").Funcs(template.FuncMap{
	"up": func(status string) bool { return status == "healthy" || status == "mostly_healthy" },
}).Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Upstream health</title>
<style>table{border-collapse:collapse}td,th{border:1px solid #999;padding:3px 8px}th{background:#ddd}.down{background:#f99}</style>
</head><body><h1>Upstream health</h1>
<table><tr><th>Upstream</th><th>Check</th><th>Node</th><th>Status</th><th>Successes</th><th>TCP failures</th><th>HTTP failures</th><th>Timeouts</th></tr>
{{range $u := .}}{{range .Nodes}}<tr{{if not (up .Status)}} class="down"{{end}}><td>{{$u.Name}}</td><td>{{$u.Type}}</td><td>{{.IP}}:{{.Port}}{{with .Hostname}} ({{.}}){{end}}</td><td>{{.Status}}</td><td>{{.Counter.Success}}</td><td>{{.Counter.TCP}}</td><td>{{.Counter.HTTP}}</td><td>{{.Counter.Timeout}}</td></tr>
{{end}}{{end}}</table></body></html>
`))

// page answers with a table if the client is a browser.
func (c *call) page(list []Health) bool {
	if !strings.Contains(string(c.http.Request.Header.Peek("Accept")), "text/html") {
		return false
	}
	c.http.SetContentType(contentHTML)
	if err := healthPage.Execute(c.http, list); err != nil {
		panic("BUG: health page: " + err.Error())
	}
	return true
}
