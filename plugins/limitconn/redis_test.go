package limitconn_test

import (
	"fmt"
	"testing"

	"github.com/sluicegw/sluice/plugins/internal/redis/redistest"
	"github.com/sluicegw/sluice/test/gateway"
)

func TestRedis(t *testing.T) {
	server := redistest.Start(t)
	cluster := redistest.Cluster(t)
	s := newSlow(t)
	for name, where := range map[string]string{
		"one server": fmt.Sprintf(`"policy":"redis","redis_host":"127.0.0.1","redis_port":%d`, server.Port),
		"cluster":    fmt.Sprintf(`"policy":"redis-cluster","redis_cluster_name":"c","redis_cluster_nodes":[%q,%q]`, cluster[0].Addr(), cluster[1].Addr()),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := gateway.Start(t, gateway.Options{}), gateway.Start(t, gateway.Options{})
			for _, g := range []*gateway.Gateway{a, b} {
				g.Route(s.addr, `{"limit-conn":{"conn":1,"burst":0,"default_conn_delay":1,"key":"remote_addr","rejected_code":429,`+where+`}}`)
			}
			out := s.start(t, a, 1)
			if resp, _ := b.Get("/quick"); resp.StatusCode != 429 {
				t.Errorf("the other gateway: %d\n%s", resp.StatusCode, b.Log())
			}
			s.finish(t, out, 1)
			waitIdle(t, b)
		})
	}
	server.Stop()
	g := gateway.Start(t, gateway.Options{})
	for conf, want := range map[string]int{`false`: 500, `true`: 200} {
		g.Route(s.addr, fmt.Sprintf(`{"limit-conn":{"conn":1,"burst":0,"default_conn_delay":1,"key":"remote_addr","policy":"redis","redis_host":"127.0.0.1","redis_port":%d,"allow_degradation":%s}}`, server.Port, conf))
		if resp, _ := g.Get("/quick"); resp.StatusCode != want {
			t.Errorf("without Redis, allow_degradation %s: %d", conf, resp.StatusCode)
		}
	}
}
