//go:build !race

package guard

import (
	"testing"

	"github.com/sluicegw/sluice/core/h1"
)

func TestNoAllocations(t *testing.T) {
	policies := []*Policy{
		mustPolicy(t, Settings{}),
		mustPolicy(t, Settings{
			TrustedAddresses: []string{"10.0.0.0/8", "192.0.2.0/24"}, DeleteURITailSlash: true, NormalizeURILikeServlet: true,
			MatchURIEncodedSlash: true, DropUnderscores: true,
			RealIPFrom: []string{"192.0.2.0/24"}, RealIPHeader: "X-Forwarded-For", RealIPRecursive: true,
		}),
	}
	heads := []string{
		wrkHead,
		browserHead,
		"GET /caf%c3%a9/../a%2Fb//c;v=1/?q=\xc3\xa9 HTTP/1.1\r\nHost: A.Example:80\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n" +
			"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nForwarded: for=x\r\nmy_field: 1\r\n\r\n",
		"GET http://[2001:DB8::1]:80/x HTTP/1.1\r\nHost: [2001:db8::1]:80\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
	}
	ctx := newCtx()
	var out []byte
	for _, p := range policies {
		for _, head := range heads {
			in := []byte(head)
			run := func() {
				ctx.Reset()
				if n, err := ctx.Req.Scan(in, p.Limits()); n != len(in) || err != nil {
					t.Fatal(n, err)
				}
				if err := p.Check(ctx); err != nil {
					t.Fatal(err)
				}
				Forward(ctx)
				out = ctx.Req.AppendHead(out[:0], nil, nil, h1.IDs(h1.Connection, h1.Upgrade))
			}
			if n := testing.AllocsPerRun(100, run); n != 0 {
				t.Errorf("%v allocations for %q", n, head)
			}
		}
	}
}
