package e2e

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
	"github.com/sluicegw/sluice/test/e2e/rawhttp"
)

// named starts n back ends that answer with their number.
func named(t *testing.T, n int, slow time.Duration) []*backend.Server {
	t.Helper()
	var all []*backend.Server
	for i := range n {
		h := backend.OK(fmt.Sprint(i))
		if i == 0 && slow > 0 {
			h = func(c net.Conn, r backend.Request) bool {
				<-time.After(slow)
				return backend.OK("0")(c, r)
			}
		}
		all = append(all, backend.Start(t, h).CountOnly())
	}
	return all
}

func upstreamYAML(conf string, nodes []*backend.Server) string {
	var list []string
	for _, b := range nodes {
		list = append(list, fmt.Sprintf("%q: 1", b.Addr))
	}
	return fmt.Sprintf("routes:\n  - {id: r, uri: /*, upstream: {%s, nodes: {%s}}}\n", conf, strings.Join(list, ", "))
}

// The same key finds the same node on every loop, and keys spread over all
// nodes.
func TestConsistentHashing(t *testing.T) {
	t.Parallel()
	for _, ring := range []string{"xxhash", "crc32-apisix"} {
		nodes := named(t, 4, 0)
		g := gateway.Start(t, gateway.Options{YAML: upstreamYAML("type: chash, hash_on: header, key: X-User, hash_ring: "+ring, nodes)})
		owner := map[string]string{}
		used := map[string]int{}
		for range 4 { // further connections land on other loops
			c := rawhttp.Dial(t, g.Proxy)
			for i := range 200 {
				user := fmt.Sprint("user", i)
				c.Send(rawhttp.Get("/", "x", "X-User: "+user))
				node := string(c.MustRead("GET").Body)
				if was := owner[user]; was != "" && was != node {
					t.Fatalf("%s: %s went to node %s and to node %s", ring, user, was, node)
				}
				owner[user] = node
				used[node]++
			}
		}
		for i := range nodes {
			if n := used[fmt.Sprint(i)]; n < 80 || n > 360 {
				t.Errorf("%s: node %d got %d of 800 requests", ring, i, n)
			}
		}
	}
}

// A slow node gets fewer requests from the policies that look at load.
func TestLoadAwarePolicies(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"least_conn", "ewma"} {
		nodes := named(t, 3, 30*time.Millisecond)
		g := gateway.Start(t, gateway.Options{YAML: upstreamYAML("type: "+policy, nodes)})
		var wg sync.WaitGroup
		for range 12 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				c := rawhttp.Dial(t, g.Proxy)
				for range 40 {
					if c.TrySend(rawhttp.Get("/", "x")) != nil {
						t.Error("sending failed")
						return
					}
					if r, err := c.Read("GET"); err != nil || r.Status != 200 {
						t.Errorf("status %d, error %v", r.Status, err)
						return
					}
				}
			}()
		}
		wg.Wait()
		if n := nodes[0].Count(); n > 480/4 {
			t.Errorf("%s: the slow node got %d of 480 requests", policy, n)
		}
	}
}

// A lower priority gets traffic only when the higher one has nobody left, and
// weight 0 gets none.
func TestNodePriorityAndZeroWeight(t *testing.T) {
	t.Parallel()
	nodes := named(t, 3, 0)
	entry := func(i, weight, priority int) string {
		host, port, _ := strings.Cut(nodes[i].Addr, ":")
		return fmt.Sprintf("{host: %s, port: %s, weight: %d, priority: %d}", host, port, weight, priority)
	}
	g := gateway.Start(t, gateway.Options{YAML: "routes:\n  - {id: r, uri: /*, upstream: {nodes: [" +
		entry(0, 1, 10) + ", " + entry(1, 1, 0) + ", " + entry(2, 0, 10) + "]}}\n"})
	for range 20 {
		if a := g.Get("/"); a.Text() != "0" {
			t.Fatalf("node %s answers, want 0", a.Body)
		}
	}
	nodes[0].Close()
	for range 20 {
		if a := g.Get("/"); a.Text() != "1" {
			t.Fatalf("with the higher priority dead: status %d from %q, want node 1", a.Status, a.Body)
		}
	}
}
