//go:build !race

package workflow_test

import (
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const head = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"

func start(t testing.TB) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", `{"workflow":{"rules":[{"case":[["uri","==","/b"]],"actions":[["return",{"code":403}]]},{"actions":[["limit-count",{"count":4000000000,"time_window":60}]]}]}}`)
	return g
}

func TestNoAllocations(t *testing.T) {
	if n := start(t).Allocations(head); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkWorkflow(b *testing.B) { start(b).Measure(b, head) }
