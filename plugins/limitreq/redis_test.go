package limitreq_test

import (
	"fmt"
	"testing"

	"github.com/sluicegw/sluice/plugins/internal/redis/redistest"
	"github.com/sluicegw/sluice/test/gateway"
)

func TestRedis(t *testing.T) {
	s := redistest.Start(t)
	cluster := redistest.Cluster(t)
	up := gateway.Upstream(t)
	for name, where := range map[string]string{
		"one server": fmt.Sprintf(`"policy":"redis","redis_host":"127.0.0.1","redis_port":%d`, s.Port),
		"cluster":    fmt.Sprintf(`"policy":"redis-cluster","redis_cluster_name":"c","redis_cluster_nodes":[%q,%q]`, cluster[0].Addr(), cluster[1].Addr()),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := gateway.Start(t, gateway.Options{}), gateway.Start(t, gateway.Options{})
			for _, g := range []*gateway.Gateway{a, b} {
				g.Route(up, `{"limit-req":{"rate":0.01,"burst":1,"nodelay":true,"key":"http_a","rejected_code":429,`+where+`}}`)
			}
			for i := range 10 {
				h := fmt.Sprintf("A: %d", i)
				r1, _ := a.Get("/", h)
				r2, _ := b.Get("/", h)
				r3, _ := a.Get("/", h)
				if r1.StatusCode != 200 || r2.StatusCode != 200 || r3.StatusCode != 429 {
					t.Fatalf("key %d: %d %d %d\n%s", i, r1.StatusCode, r2.StatusCode, r3.StatusCode, a.Log())
				}
			}
		})
	}
	s.Stop()
	g := gateway.Start(t, gateway.Options{})
	for conf, want := range map[string]int{`false`: 500, `true`: 200} {
		g.Route(up, fmt.Sprintf(`{"limit-req":{"rate":1,"burst":1,"key":"http_a","policy":"redis","redis_host":"127.0.0.1","redis_port":%d,"allow_degradation":%s}}`, s.Port, conf))
		if resp, _ := g.Get("/"); resp.StatusCode != want {
			t.Errorf("without Redis, allow_degradation %s: %d", conf, resp.StatusCode)
		}
	}
}
