//go:build !race

package h1

import "testing"

func TestNoAllocations(t *testing.T) {
	f := func(name string, run func()) {
		t.Helper()
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	var r Request
	var p Response
	var c Chunked
	var out []byte
	browser, response := []byte(browserHead), []byte(responseHead)
	value := []byte("1")
	f("request", func() {
		r.Reset()
		r.Scan(browser[:200], nil)
		r.Scan(browser, nil)
		r.SaveOriginal(XForwardedFor)
		r.SetID(Accept, value)
		r.SetString("x-mine", "2")
		r.Append(value, value)
		r.Del("referer")
		r.DelSet(HopByHop)
		r.SetTarget(r.RawTarget())
		r.AddForwarded("http", value, 9080)
		r.AddClient(value)
		r.CheckNamed()
		out = r.AppendHead(out[:0], nil, nil, IDs(Cookie))
		r.Get("x-mine")
	})
	f("refusal", func() {
		r.Reset()
		r.Scan([]byte("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), nil)
	})
	f("response", func() {
		p.Reset()
		p.Scan(response, nil, MethodGet)
		p.DropHop()
		out = p.AppendHead(out[:0], IDs(Server, Date))
	})
	body := []byte("3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")
	f("chunked", func() {
		c.Reset()
		for b := body; ; {
			_, n, done, _ := c.Next(b)
			if b = b[n:]; done {
				return
			}
		}
	})
}
