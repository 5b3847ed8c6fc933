//go:build !race

package limitcount_test

import (
	"testing"

	"github.com/sluicegw/sluice/test/gateway"
)

const head = "GET /a HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"

func limited(t testing.TB, plugin string) *gateway.Gateway {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", `{"limit-count":`+plugin+`}`)
	return g
}

func TestNoAllocations(t *testing.T) {
	f := func(name, plugin string) {
		t.Helper()
		if n := limited(t, plugin).Allocations(head); n != 0 {
			t.Errorf("%s: %v allocations per request, want 0", name, n)
		}
	}
	f("fixed", `{"count":4000000000,"time_window":60}`)
	f("sliding", `{"count":4000000000,"time_window":60,"window_type":"sliding"}`)
	f("rejected", `{"count":1,"time_window":60,"rejected_msg":"no"}`)
	f("combination, count from a variable", `{"count":"${http_x ?? 100000}","time_window":60,"key":"$host $remote_addr","key_type":"var_combination"}`)
	f("rules", `{"rules":[{"count":100000,"time_window":60,"key":"$remote_addr"},{"count":100000,"time_window":3600,"key":"$host"}]}`)
}

func BenchmarkLimitCount(b *testing.B) {
	b.Run("fixed", func(b *testing.B) { limited(b, `{"count":4000000000,"time_window":60}`).Measure(b, head) })
	b.Run("sliding", func(b *testing.B) {
		limited(b, `{"count":4000000000,"time_window":60,"window_type":"sliding"}`).Measure(b, head)
	})
	b.Run("without headers", func(b *testing.B) {
		limited(b, `{"count":4000000000,"time_window":60,"show_limit_quota_header":false}`).Measure(b, head)
	})
}
