package listen

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/lb/node"
)

// A panic in the middle of an exchange closes what the exchange held.
func TestPanicWhileRelayingLeaksNothing(t *testing.T) {
	gone := make(chan struct{}, 10)
	b := rawBackend(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
		io.Copy(io.Discard, r)
		gone <- struct{}{}
	})
	var n *node.Node
	g := newGateway(t, func(_ *Config, u *req.Upstream, e *req.Effective) {
		n = u.Nodes[0]
		e.Chain = &req.Chain{}
		e.Chain.Phases[req.HeaderFilter] = []req.Step{{Name: "explosive", Run: func(*req.Ctx) req.Verdict { panic("boom") }}}
	}, b)
	for _, body := range []io.Reader{nil, strings.NewReader(strings.Repeat("x", 500_000))} {
		resp, err := http.Post("http://"+g.addr+"/", "text/plain", body)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != 500 {
				t.Errorf("status %d, want 500", resp.StatusCode)
			}
		}
		select {
		case <-gone:
		case <-time.After(3 * time.Second):
			t.Fatal("the connection to the node stayed open")
		}
	}
	deadline := time.Now().Add(3 * time.Second)
	for n.InFlight.Load() != 0 && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if got := n.InFlight.Load(); got != 0 {
		t.Errorf("%d requests count as in flight", got)
	}
}
