package limitreq_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/build"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/state"
	_ "github.com/sluicegw/sluice/plugins/limitreq"
	"github.com/sluicegw/sluice/test/gateway"
)

func TestBucket(t *testing.T) {
	g := gateway.Start(t, gateway.Options{Loops: 2})
	up := gateway.Upstream(t)
	f := func(name, conf, want string, headers ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			g.Route(up, `{"limit-req":`+conf+`}`)
			var got []string
			for _, h := range headers {
				resp, _ := g.Get("/a", h)
				got = append(got, fmt.Sprint(resp.StatusCode))
			}
			if s := strings.Join(got, " "); s != want {
				t.Errorf("answers %s, want %s", s, want)
			}
		})
	}
	f("no burst", `{"rate":0.01,"burst":0,"key":"remote_addr"}`, "200 503 503", "A: 1", "A: 1", "A: 1")
	f("burst", `{"rate":0.01,"burst":2,"nodelay":true,"key":"remote_addr","rejected_code":429}`, "200 200 200 429", "A: 1", "A: 1", "A: 1", "A: 1")
	f("by a field", `{"rate":0.01,"burst":0,"key":"http_a"}`, "200 200 503", "A: 1", "A: 2", "A: 1")
	f("combination", `{"rate":0.01,"burst":0,"key":"$http_a$uri","key_type":"var_combination"}`, "200 200 503", "A: 1", "A: 2", "A: 1")
	f("no value: address", `{"rate":0.02,"burst":0,"key":"http_b"}`, "200 503", "A: 1", "A: 2")
}

func TestDelay(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"limit-req":{"rate":20,"burst":10,"key":"remote_addr"}}`)
	start := time.Now()
	for range 5 {
		if resp, _ := g.Get("/"); resp.StatusCode != 200 {
			t.Fatalf("status %d", resp.StatusCode)
		}
	}
	// The first passes at once, the others are 50 ms apart.
	if took := time.Since(start); took < 190*time.Millisecond {
		t.Errorf("five requests at 20 per second took %v", took)
	}
}

func TestMessage(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"limit-req":{"rate":0.01,"burst":0,"key":"remote_addr","rejected_msg":"too fast"}}`)
	g.Get("/")
	resp, body := g.Get("/")
	if resp.StatusCode != 503 || body != "{\"error_msg\":\"too fast\"}\n" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

func TestFullTable(t *testing.T) {
	s := state.New(state.Sizes{Limits: 7, Conns: 7, Breakers: 7})
	g := gateway.Start(t, gateway.Options{Build: func(o *build.Options) { o.State = s }})
	up := gateway.Upstream(t)
	f := func(conf string, want int) {
		t.Helper()
		g.Route(up, `{"limit-req":`+conf+`}`)
		status := 0
		for i := range 8 {
			resp, _ := g.Get("/", fmt.Sprintf("A: %d", i))
			status = resp.StatusCode
		}
		if status != want {
			t.Errorf("%s: %d, want %d", conf, status, want)
		}
	}
	f(`{"rate":0.01,"burst":0,"key":"http_a"}`, 500)
	f(`{"rate":0.01,"burst":0,"key":"http_a","allow_degradation":true}`, 200)
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(name, plugin string) {
		t.Run(name, func(t *testing.T) {
			err := g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"limit-req":`+plugin+`},"upstream":{"nodes":{"127.0.0.1:1":1}}}`)
			if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin limit-req err: ") {
				t.Errorf("got %v", err)
			}
		})
	}
	f("nothing", `{}`)
	f("rate 0", `{"rate":0,"burst":0,"key":"uri"}`)
	f("negative burst", `{"rate":1,"burst":-1,"key":"uri"}`)
	f("constant", `{"rate":1,"burst":1,"key":"uri","key_type":"constant"}`)
	f("redis without a host", `{"rate":1,"burst":1,"key":"uri","policy":"redis"}`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/limit-req.md") }
