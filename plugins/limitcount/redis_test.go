package limitcount_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/plugins/internal/redis/redistest"
	"github.com/sluicegw/sluice/test/gateway"
)

// statuses makes requests and returns their statuses.
func statuses(g *gateway.Gateway, n int, path string, headers ...string) string {
	var list []string
	for range n {
		resp, _ := g.Get(path, headers...)
		list = append(list, fmt.Sprint(resp.StatusCode))
	}
	return strings.Join(list, " ")
}

func TestRedisPolicies(t *testing.T) {
	one := redistest.Start(t, "--requirepass", "secret")
	secure := redistest.StartTLS(t)
	cluster := redistest.Cluster(t)
	_, _, sentinel := redistest.Sentinel(t)
	nodes := fmt.Sprintf(`%q,%q,%q`, cluster[0].Addr(), cluster[1].Addr(), cluster[2].Addr())
	up := gateway.Upstream(t)
	f := func(name, where string) {
		t.Run(name, func(t *testing.T) {
			// Two gateways share what Redis counts.
			var pair []*gateway.Gateway
			for range 2 {
				pair = append(pair, gateway.Start(t, gateway.Options{}))
			}
			route := func(plugin string) {
				t.Helper()
				for _, g := range pair {
					g.Route(up, `{"limit-count":{`+plugin+`,"time_window":600,"rejected_code":429,`+where+`}}`)
				}
			}
			for _, kind := range []string{"fixed", "sliding"} {
				route(`"count":3,"window_type":"` + kind + `"`)
				resp, _ := pair[0].Get("/")
				if h := resp.Header; resp.StatusCode != 200 || h.Get("X-RateLimit-Limit") != "3" || h.Get("X-RateLimit-Remaining") != "2" || h.Get("X-RateLimit-Reset") == "" {
					t.Fatalf("%s: %d %v\n%s", kind, resp.StatusCode, h, pair[0].Log())
				}
				if got := statuses(pair[1], 1, "/"); got != "200" {
					t.Errorf("%s, second: %s", kind, got)
				}
				if got := statuses(pair[0], 2, "/"); got != "200 429" {
					t.Errorf("%s, third and fourth: %s", kind, got)
				}
				if got := statuses(pair[1], 1, "/"); got != "429" {
					t.Errorf("%s, the other gateway: %s", kind, got)
				}
			}
			route(`"count":1,"key":"http_a"`)
			for i := range 20 { // in a cluster these keys live on all nodes
				h := fmt.Sprintf("A: %d", i)
				if got := statuses(pair[i%2], 1, "/", h) + " " + statuses(pair[1-i%2], 1, "/", h); got != "200 429" {
					t.Errorf("key %d: %s", i, got)
				}
			}
		})
	}
	f("one server", fmt.Sprintf(`"policy":"redis","redis_host":"127.0.0.1","redis_port":%d,"redis_password":"secret","redis_database":1`, one.Port))
	f("TLS", fmt.Sprintf(`"policy":"redis","redis_host":"localhost","redis_port":%d,"redis_ssl":true,"redis_ssl_verify":false`, secure.Port))
	f("cluster", `"policy":"redis-cluster","redis_cluster_name":"c","redis_cluster_nodes":[`+nodes+`]`)
	f("sentinel", fmt.Sprintf(`"policy":"redis-sentinel","redis_master_name":"mymaster","redis_sentinels":[{"host":"127.0.0.1","port":%d}]`, sentinel.Port))

	g := gateway.Start(t, gateway.Options{})
	g.Route(up, fmt.Sprintf(`{"limit-count":{"count":1,"time_window":600,"policy":"redis","redis_host":"localhost","redis_port":%d,"redis_ssl":true,"redis_ssl_verify":true}}`, secure.Port))
	if got := statuses(g, 1, "/"); got != "500" {
		t.Errorf("a certificate of nobody we trust: %s", got)
	}
	g.Route(up, fmt.Sprintf(`{"limit-count":{"count":1,"time_window":600,"policy":"redis","redis_host":"127.0.0.1","redis_port":%d,"redis_password":"wrong"}}`, one.Port))
	if got := statuses(g, 1, "/"); got != "500" {
		t.Errorf("a wrong password: %s", got)
	}
	if !strings.Contains(g.Log(), "limit-count cannot use Redis") {
		t.Error("the log says nothing")
	}
}

func TestRedisGroupsAndRules(t *testing.T) {
	s := redistest.Start(t)
	where := fmt.Sprintf(`"policy":"redis","redis_host":"127.0.0.1","redis_port":%d`, s.Port)
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	for _, id := range []string{"1", "2"} {
		g.Put(conf.KindRoute, id, fmt.Sprintf(`{"uri":"/%s","upstream":{"nodes":{%q:1}},"plugins":{"limit-count":{"count":2,"time_window":600,"group":"g",%s}}}`, id, up, where))
	}
	if got := statuses(g, 1, "/1") + " " + statuses(g, 2, "/2") + " " + statuses(g, 1, "/1"); got != "200 200 503 503" {
		t.Errorf("group: %s", got)
	}
	g.Put(conf.KindRoute, "3", fmt.Sprintf(`{"uri":"/3","upstream":{"nodes":{%q:1}},"plugins":{"limit-count":{%s,"rules":[
		{"count":1,"time_window":600,"key":"$http_a"},{"count":2,"time_window":600,"key":"$http_b"}]}}}`, up, where))
	if got := statuses(g, 2, "/3", "A: x") + " " + statuses(g, 3, "/3", "B: x"); got != "200 503 200 200 503" {
		t.Errorf("rules: %s", got)
	}
}

func TestRedisWindowEnds(t *testing.T) {
	s := redistest.Start(t)
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), fmt.Sprintf(`{"limit-count":{"count":1,"time_window":1,"policy":"redis","redis_host":"127.0.0.1","redis_port":%d}}`, s.Port))
	statuses(g, 1, "/")
	redistest.Await(t, "another window", func() bool { return statuses(g, 1, "/") == "200" }, nil)
}

func TestRedisIsExact(t *testing.T) {
	s := redistest.Start(t)
	g := gateway.Start(t, gateway.Options{Loops: 4})
	g.Route(gateway.Upstream(t), fmt.Sprintf(`{"limit-count":{"count":100,"time_window":600,"policy":"redis","redis_host":"127.0.0.1","redis_port":%d}}`, s.Port))
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				if statuses(g, 1, "/") == "200" {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if admitted.Load() != 100 {
		t.Errorf("%d of 200 admitted, want 100", admitted.Load())
	}
}

func TestRedisIsAway(t *testing.T) {
	s := redistest.Start(t)
	g := gateway.Start(t, gateway.Options{})
	up := gateway.Upstream(t)
	where := fmt.Sprintf(`"policy":"redis","redis_host":"127.0.0.1","redis_port":%d,"redis_timeout":300`, s.Port)
	put := func(id, more string) {
		g.Put(conf.KindRoute, id, fmt.Sprintf(`{"uri":"/%s","upstream":{"nodes":{%q:1}},"plugins":{"limit-count":{"count":100,"time_window":600,%s%s}}}`, id, up, where, more))
	}
	put("closed", "")
	put("open", `,"allow_degradation":true`)
	g.Put(conf.KindRoute, "free", fmt.Sprintf(`{"uri":"/free","upstream":{"nodes":{%q:1}}}`, up))
	if got := statuses(g, 1, "/closed") + statuses(g, 1, "/open"); got != "200200" {
		t.Fatalf("with Redis: %s", got)
	}

	// A Redis that hangs holds up those who ask it and nobody else.
	s.Pause()
	hung := make(chan string, 2)
	for _, path := range []string{"/closed", "/open"} {
		go func() { hung <- path + " " + statuses(g, 1, path) }()
	}
	start := time.Now()
	if got := statuses(g, 20, "/free"); strings.Contains(got, "5") || time.Since(start) > 250*time.Millisecond {
		t.Errorf("others: %s in %v", got, time.Since(start))
	}
	got := []string{<-hung, <-hung}
	if s := strings.Join(got, ","); s != "/closed 500,/open 200" && s != "/open 200,/closed 500" {
		t.Errorf("with a hanging Redis: %s", s)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("requests waited %v for a hanging Redis", took)
	}
	s.Resume()
	redistest.Await(t, "Redis is used again", func() bool { return statuses(g, 1, "/closed") == "200" }, g.Log)

	s.Stop()
	resp, body := g.Get("/closed")
	if resp.StatusCode != 500 || body != "{\"error_msg\":\"failed to limit count\"}\n" {
		t.Errorf("without Redis: %d %q", resp.StatusCode, body)
	}
	if got := statuses(g, 1, "/open"); got != "200" {
		t.Errorf("without Redis, degrades: %s", got)
	}
}

func TestSentinelFailover(t *testing.T) {
	master, replica, sentinel := redistest.Sentinel(t)
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), fmt.Sprintf(`{"limit-count":{"count":1000,"time_window":600,"policy":"redis-sentinel","redis_master_name":"mymaster",
		"redis_connect_timeout":500,"redis_read_timeout":500,"redis_sentinels":[{"host":"127.0.0.1","port":%d}]}}`, sentinel.Port))
	if got := statuses(g, 1, "/"); got != "200" {
		t.Fatalf("before: %s\n%s", got, g.Log())
	}
	master.Stop()
	redistest.Await(t, "the replica takes over", func() bool { return strings.Contains(replica.Do("INFO replication"), "role:master") }, nil)
	redistest.Await(t, "requests are counted at the new master", func() bool { return statuses(g, 1, "/") == "200" }, g.Log)
}

func TestDelayedSync(t *testing.T) {
	s := redistest.Start(t)
	up := gateway.Upstream(t)
	where := fmt.Sprintf(`"policy":"redis","redis_host":"127.0.0.1","redis_port":%d,"sync_interval":0.1,"group":"g"`, s.Port)
	var pair []*gateway.Gateway
	for range 2 {
		g := gateway.Start(t, gateway.Options{})
		g.Route(up, `{"limit-count":{"count":10,"time_window":600,`+where+`}}`)
		pair = append(pair, g)
	}
	resp, _ := pair[0].Get("/")
	if h := resp.Header; resp.StatusCode != 200 || h.Get("X-RateLimit-Remaining") != "9" {
		t.Fatalf("first: %d %v", resp.StatusCode, h)
	}
	if got := statuses(pair[0], 4, "/"); got != "200 200 200 200" {
		t.Errorf("next: %s", got)
	}
	// Redis learns of all five, and the other gateway from it.
	used := func() string { return s.Do("GET plugin-limit-countg:127.0.0.1") }
	redistest.Await(t, "Redis is told", func() bool { return strings.Contains(used(), "\r\n5\r\n") }, used)
	resp, _ = pair[1].Get("/")
	if got := resp.Header.Get("X-RateLimit-Remaining"); got != "4" {
		t.Errorf("the other gateway has %s left, want 4", got)
	}
	redistest.Await(t, "the quota is used up", func() bool { return statuses(pair[1], 1, "/") == "503" }, nil)
	redistest.Await(t, "the first gateway knows", func() bool { return statuses(pair[0], 1, "/") == "503" }, nil)

	// Without Redis the host goes on with the lease it has.
	g := pair[0]
	g.Route(up, `{"limit-count":{"count":5,"time_window":601,"rejected_code":429,`+strings.Replace(where, `"g"`, `"h"`, 1)+`}}`)
	statuses(g, 1, "/")
	s.Stop()
	if got := statuses(g, 5, "/"); got != "200 200 200 200 429" {
		t.Errorf("without Redis: %s", got)
	}
}
