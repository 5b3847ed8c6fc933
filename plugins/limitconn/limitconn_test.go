package limitconn_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/build"
	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/state"
	_ "github.com/sluicegw/sluice/plugins/limitconn"
	"github.com/sluicegw/sluice/test/gateway"
)

// slow is an upstream whose answers wait until they are let go.
type slow struct {
	addr string
	came chan struct{}
	free chan struct{}
}

func newSlow(t *testing.T) *slow {
	s := &slow{came: make(chan struct{}, 100), free: make(chan struct{}, 100)}
	s.addr = gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quick" {
			return
		}
		s.came <- struct{}{}
		<-s.free
	})
	return s
}

// start begins n requests and waits until they are at the upstream. Their
// statuses come on the channel.
func (s *slow) start(t *testing.T, g *gateway.Gateway, n int) chan int {
	t.Helper()
	out := make(chan int, n)
	for range n {
		go func() {
			resp, err := http.Get(g.URL + "/slow")
			if err != nil {
				out <- 0
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			out <- resp.StatusCode
		}()
		select {
		case <-s.came:
		case <-time.After(10 * time.Second):
			t.Fatal("the request does not reach the upstream")
		}
	}
	return out
}

func (s *slow) finish(t *testing.T, out chan int, n int) {
	t.Helper()
	for range n {
		s.free <- struct{}{}
	}
	for range n {
		if status := <-out; status != 200 {
			t.Errorf("a slow request got %d", status)
		}
	}
}

// waitIdle waits until nothing is counted any more.
func waitIdle(t *testing.T, g *gateway.Gateway) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		if resp, _ := g.Get("/quick"); resp.StatusCode == 200 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("a request that has ended is still counted")
		}
	}
}

func TestLimit(t *testing.T) {
	s := newSlow(t)
	g := gateway.Start(t, gateway.Options{Loops: 2})
	g.Route(s.addr, `{"limit-conn":{"conn":1,"burst":1,"default_conn_delay":0.001,"only_use_default_delay":true,"key":"remote_addr","rejected_code":429,"rejected_msg":"too many"}}`)
	out := s.start(t, g, 2)
	resp, body := g.Get("/slow")
	if resp.StatusCode != 429 || body != "{\"error_msg\":\"too many\"}\n" {
		t.Errorf("the third: %d %q", resp.StatusCode, body)
	}
	s.finish(t, out, 2)
	waitIdle(t, g)
	s.finish(t, s.start(t, g, 2), 2)
}

func TestKeysAndRules(t *testing.T) {
	s := newSlow(t)
	g := gateway.Start(t, gateway.Options{})
	f := func(name, plugin, headers string, want int) {
		t.Helper()
		g.Route(s.addr, `{"limit-conn":`+plugin+`}`)
		out := s.start(t, g, 1)
		resp, _ := g.Get("/quick", strings.Split(headers, "|")...)
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, want)
		}
		s.finish(t, out, 1)
	}
	f("same key", `{"conn":1,"burst":0,"default_conn_delay":1,"key":"http_user_agent"}`, "User-Agent: Go-http-client/1.1", 503)
	f("another key", `{"conn":1,"burst":0,"default_conn_delay":1,"key":"http_user_agent"}`, "User-Agent: other", 200)
	f("combination", `{"conn":1,"burst":0,"default_conn_delay":1,"key":"$remote_addr $http_user_agent","key_type":"var_combination"}`, "User-Agent: other", 200)
	f("conn from a variable", `{"conn":"${http_most ?? 1}","burst":0,"default_conn_delay":1,"key":"remote_addr"}`, "A: 1", 503)
	f("more for this one", `{"conn":"${http_most ?? 1}","burst":0,"default_conn_delay":1,"key":"remote_addr"}`, "Most: 2", 200)
	f("rules", `{"default_conn_delay":1,"rules":[{"conn":5,"burst":0,"key":"$remote_addr"},{"conn":1,"burst":0,"key":"$host"}]}`, "A: 1", 503)
}

func TestDelayGrows(t *testing.T) {
	s := newSlow(t)
	g := gateway.Start(t, gateway.Options{})
	g.Route(s.addr, `{"limit-conn":{"conn":1,"burst":3,"default_conn_delay":0.1,"only_use_default_delay":true,"key":"remote_addr"}}`)
	out := s.start(t, g, 2)
	start := time.Now()
	if resp, _ := g.Get("/quick"); resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	}
	if took := time.Since(start); took < 190*time.Millisecond {
		t.Errorf("the third of conn 1 took %v, want two units of 100 ms", took)
	}
	s.finish(t, out, 2)
}

// TestEveryEndReleases holds requests that end in other ways than with an
// answer against the count.
func TestEveryEndReleases(t *testing.T) {
	s := newSlow(t)
	g := gateway.Start(t, gateway.Options{})
	const limit = `"limit-conn":{"conn":1,"burst":0,"default_conn_delay":1,"key":"remote_addr"}`
	f := func(name string, end func()) {
		t.Run(name, func(t *testing.T) {
			g.Route(s.addr, `{`+limit+`}`)
			end()
			g.Route(s.addr, `{`+limit+`}`)
			waitIdle(t, g)
		})
	}
	f("the client leaves", func() {
		c, err := net.Dial("tcp", g.Addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
		<-s.came
		c.Close()
		s.free <- struct{}{}
	})
	f("the client leaves in the middle of its body", func() {
		c, err := net.Dial("tcp", g.Addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
		<-s.came
		c.Close()
		s.free <- struct{}{}
	})
	f("another plugin panics", func() {
		g.Route(s.addr, `{`+limit+`,"test-panic":{}}`)
		if resp, _ := g.Get("/quick"); resp.StatusCode != 500 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
	f("no node answers", func() {
		g.Route("127.0.0.1:1", `{`+limit+`}`)
		if resp, _ := g.Get("/quick"); resp.StatusCode != 502 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
}

type panics struct{}

func (panics) Access(*req.Ctx) req.Verdict { panic("as the test wants it") }

func init() {
	chain.Register(&chain.Plugin{Name: "test-panic", Priority: 1, New: func(_ json.RawMessage, _ *chain.Env) (any, error) { return panics{}, nil }})
}

func TestConcurrentRequests(t *testing.T) {
	s := newSlow(t)
	g := gateway.Start(t, gateway.Options{Loops: 4})
	g.Route(s.addr, `{"limit-conn":{"conn":5,"burst":0,"default_conn_delay":1,"key":"remote_addr"}}`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				resp, err := http.Get(g.URL + "/quick")
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
	waitIdle(t, g)
	s.finish(t, s.start(t, g, 5), 5)
}

func TestFullTable(t *testing.T) {
	s := state.New(state.Sizes{Limits: 7, Conns: 7, Breakers: 7})
	// Others hold all the room there is.
	sc := s.Conns.Scope("others")
	for i := range 8 {
		s.Conns.Acquire(sc.Hash(append(make([]byte, state.KeyRoom), byte(i))), 1, time.Now().UnixMilli())
	}
	g := gateway.Start(t, gateway.Options{Build: func(o *build.Options) { o.State = s }})
	up := gateway.Upstream(t)
	f := func(plugin string, want int) {
		t.Helper()
		g.Route(up, `{"limit-conn":`+plugin+`}`)
		if resp, _ := g.Get("/"); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", plugin, resp.StatusCode, want)
		}
	}
	f(`{"conn":1,"burst":0,"default_conn_delay":1,"key":"remote_addr"}`, 500)
	f(`{"conn":1,"burst":0,"default_conn_delay":1,"key":"remote_addr","allow_degradation":true}`, 200)
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(name, plugin string) {
		t.Run(name, func(t *testing.T) {
			err := g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"limit-conn":`+plugin+`},"upstream":{"nodes":{"127.0.0.1:1":1}}}`)
			if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin limit-conn err: ") {
				t.Errorf("got %v", err)
			}
		})
	}
	f("nothing", `{}`)
	f("conn 0", `{"conn":0,"burst":0,"default_conn_delay":1,"key":"uri"}`)
	f("no delay", `{"conn":1,"burst":0,"key":"uri"}`)
	f("delay 0", `{"conn":1,"burst":0,"default_conn_delay":0,"key":"uri"}`)
	f("same key", `{"default_conn_delay":1,"rules":[{"conn":5,"burst":0,"key":"$a"},{"conn":1,"burst":0,"key":"$a"}]}`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/limit-conn.md") }
