package meter

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
	"github.com/sluicegw/sluice/lb/node"
)

// request is a finished request of a route.
func request(l *loop.Loop, id string) *req.Ctx {
	ctx := &req.Ctx{Loop: l, Status: 200, Source: req.FromUpstream, BytesIn: 100, BytesOut: 1000}
	ctx.Route = &req.Route{ID: id, Name: "name-" + id, ServiceID: "s1"}
	ctx.Matched().MatchedURI, ctx.Matched().MatchedHost = "/a/*", `"h\`
	ctx.Consumer = &req.Consumer{Username: "jack"}
	n := &node.Node{Addr: netip.MustParseAddrPort("127.0.0.1:1980")}
	ctx.Start = l.Now() - 7e6
	ctx.Tries = append(ctx.Tries, req.Try{Node: n, Status: 200, Total: 3e6})
	return ctx
}

func scrape(r *Registry) string {
	var b strings.Builder
	r.WriteMetrics(&b)
	return b.String()
}

const labels = `service="s1",consumer="jack",node="127.0.0.1",request_type="traditional_http",request_llm_model="",llm_model=""`

func TestSeriesOfAllLoopsAddUp(t *testing.T) {
	r := New(Options{})
	for id := range 2 {
		ctx := request(&loop.Loop{ID: id}, "1")
		for range 3 {
			r.Record(ctx, &Rules{})
		}
	}
	text := scrape(r)
	for _, want := range []string{
		"# TYPE apisix_http_status counter\n",
		`apisix_http_status{code="200",route="1",matched_uri="/a/*",matched_host="\"h\\",` + labels + `,response_source="upstream"} 6` + "\n",
		"# TYPE apisix_http_latency histogram\n",
		`apisix_http_latency_bucket{type="request",route="1",` + labels + `,le="5"} 0` + "\n",
		`apisix_http_latency_bucket{type="request",route="1",` + labels + `,le="10"} 6` + "\n",
		`apisix_http_latency_bucket{type="upstream",route="1",` + labels + `,le="5"} 6` + "\n",
		`apisix_http_latency_bucket{type="apisix",route="1",` + labels + `,le="+Inf"} 6` + "\n",
		`apisix_http_latency_sum{type="upstream",route="1",` + labels + `} 18` + "\n",
		`apisix_http_latency_count{type="upstream",route="1",` + labels + `} 6` + "\n",
		`apisix_bandwidth{type="ingress",route="1",` + labels + `} 600` + "\n",
		`apisix_bandwidth{type="egress",route="1",` + labels + `} 6000` + "\n",
		"sluice_metrics_series_refused_total 0\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %s", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestLabels(t *testing.T) {
	l := &loop.Loop{}
	f := func(name string, o Options, rules *Rules, change func(*req.Ctx), want string) {
		t.Run(name, func(t *testing.T) {
			r := New(o)
			ctx := request(l, "1")
			if change != nil {
				change(ctx)
			}
			r.Record(ctx, rules)
			if text := scrape(r); !strings.Contains(text, want) {
				t.Errorf("missing %s in\n%s", want, text)
			}
		})
	}
	f("prefix", Options{Prefix: "gw_"}, &Rules{}, nil, `gw_bandwidth{type="ingress",`)
	f("names", Options{}, &Rules{PreferName: true}, nil, `route="name-1",`)
	disabled := &Rules{}
	if !disabled.Disable("bandwidth", "route") || disabled.Disable("bandwidth", "code") || disabled.Disable("http_status", "code") || disabled.Disable("x", "route") {
		t.Error("the labels that can be emptied are not those of the contract")
	}
	f("disabled label", Options{}, disabled, nil, `apisix_bandwidth{type="ingress",route="",service="s1"`)
	f("elsewhere it stays", Options{}, disabled, nil, `apisix_http_status{code="200",route="1"`)
	f("no route", Options{}, &Rules{}, func(ctx *req.Ctx) { ctx.Route, ctx.Tries, ctx.Status, ctx.Source = nil, nil, 404, req.FromGateway },
		`code="404",route="",matched_uri="",matched_host="",service="",consumer="jack",node="",request_type="traditional_http",request_llm_model="",llm_model="",response_source="apisix"} 1`)
	f("buckets", Options{Buckets: []float64{2.5, 8}}, &Rules{}, nil, `,le="2.5"} 0`)
	extra := Options{}
	extra.Extra[Status] = []Extra{{"version", vars.CompileTemplate("$status")}}
	f("extra label", extra, &Rules{}, nil, `response_source="upstream",version="200"} 1`)
}

func TestSeriesLeaveWithTheirRoute(t *testing.T) {
	r := New(Options{})
	l := &loop.Loop{}
	one, two := request(l, "1"), request(l, "2")
	r.Record(one, &Rules{})
	r.Record(two, &Rules{})
	r.Routes(nil, []string{"1"})
	r.Record(one, &Rules{}) // was in flight
	if text := scrape(r); strings.Contains(text, `route="1"`) || !strings.Contains(text, `route="2"`) || !strings.Contains(text, "refused_total 3\n") {
		t.Errorf("after the route was deleted:\n%s", text)
	}
	r.Routes([]string{"1"}, nil)
	r.Record(request(l, "1"), &Rules{})
	if text := scrape(r); !strings.Contains(text, `code="200",route="1"`) {
		t.Errorf("after the route came back:\n%s", text)
	}
}

func TestSeriesExpire(t *testing.T) {
	o := Options{}
	o.Expire[Status] = 1 // a nanosecond
	r := New(o)
	r.Record(request(&loop.Loop{}, "1"), &Rules{})
	for deadline := time.Now().Add(10 * time.Second); ; {
		text := scrape(r)
		if !strings.Contains(text, "apisix_http_status{") {
			if !strings.Contains(text, "apisix_bandwidth{") {
				t.Error("a family without expire lost its series")
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the series stayed")
		}
	}
}

func TestLimitOfSeries(t *testing.T) {
	r := New(Options{MaxSeries: 2})
	l := &loop.Loop{}
	for i := range 4 {
		r.Record(request(l, fmt.Sprint(i)), &Rules{})
	}
	text := scrape(r)
	if n := strings.Count(text, "apisix_http_status{"); n != 2 || !strings.Contains(text, "refused_total 6\n") {
		t.Errorf("%d series with a limit of 2:\n%s", n, text)
	}
}

func TestSettings(t *testing.T) {
	f := func(raw, wantErr string) {
		t.Helper()
		var o Options
		err := o.Parse([]byte(raw))
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	f(``, "")
	f(`{"http_status":{"extra_labels":[{"a":"$host"}],"expire":600}}`, "")
	f(`{"llm_latency":{"extra_labels":[{"a":"$host"}]}}`, "")
	f(`{"http_status":{"extra_labels":[{"code":"$host"}]}}`, "is taken")
	f(`{"http_latency":{"extra_labels":[{"le":"$host"}]}}`, "is taken")
	f(`{"http_status":{"extra_labels":[{"a-b":"$host"}]}}`, "no label name")
	f(`[]`, "plugin_attr.prometheus.metrics")
}
