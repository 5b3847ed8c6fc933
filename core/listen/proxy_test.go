package listen

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/req"
)

func TestProxyPassesMethodPathFieldsAndBody(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", r.Method+" "+r.RequestURI+" "+r.Header.Get("X-In"))
		w.WriteHeader(201)
		w.Write(append([]byte("got "), body...))
	})
	g := newGateway(t, nil, b)
	q, _ := http.NewRequest("PUT", "http://"+g.addr+"/a/b?x=1&y=%20", strings.NewReader("the body"))
	q.Header.Set("X-In", "in")
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 201 || string(body) != "got the body" {
		t.Errorf("status %d, body %q", resp.StatusCode, body)
	}
	if got := resp.Header.Get("X-Seen"); got != "PUT /a/b?x=1&y=%20 in" {
		t.Errorf("upstream saw %q", got)
	}
	if got := resp.Header.Get("Server"); got != "Sluice" {
		t.Errorf("Server is %q", got)
	}
}

func TestBodiesOfAnySizeStreamBothWays(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Got", strconv.FormatInt(n, 10))
		size, _ := strconv.Atoi(r.URL.Query().Get("size"))
		if r.URL.Query().Get("chunked") == "" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		} else {
			w.(http.Flusher).Flush()
		}
		chunk := bytes.Repeat([]byte("0123456789abcdef"), 1024)
		for size > 0 {
			n := min(size, len(chunk))
			w.Write(chunk[:n])
			size -= n
		}
	})
	g := newGateway(t, nil, b)
	for _, size := range []int{0, 1, 1000, 65_000, 65_536, 200_000, 5_000_000} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("size=%d,chunked=%v", size, chunked), func(t *testing.T) {
				url := fmt.Sprintf("http://%s/?size=%d", g.addr, size)
				var body io.Reader = bytes.NewReader(bytes.Repeat([]byte("x"), size))
				if chunked {
					url += "&chunked=1"
					body = struct{ io.Reader }{body} // hides the length
				}
				resp, err := http.Post(url, "text/plain", body)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				if err != nil || len(got) != size {
					t.Errorf("got %d bytes of %d, %v", len(got), size, err)
				}
				if resp.Header.Get("X-Got") != strconv.Itoa(size) {
					t.Errorf("upstream got %s bytes of %d", resp.Header.Get("X-Got"), size)
				}
			})
		}
	}
}

func TestFailuresOfTheUpstream(t *testing.T) {
	refused := func() string {
		ln, _ := net.Listen("tcp", "127.0.0.1:0")
		defer ln.Close()
		return ln.Addr().String()
	}()
	hole := rawBackend(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	closes := rawBackend(t, func(c net.Conn) { bufio.NewReader(c).ReadString('\n') })
	garbage := rawBackend(t, func(c net.Conn) {
		bufio.NewReader(c).ReadString('\n')
		c.Write([]byte("SMTP nonsense\r\n\r\n"))
	})
	good := backend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "fine") })
	short := func(_ *Config, u *req.Upstream, _ *req.Effective) { u.Read = 200e6 }
	f := func(name string, want int, nodes ...string) {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, short, nodes...)
			for range 3 {
				resp, err := http.Get("http://" + g.addr + "/")
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != want {
					t.Errorf("status %d, want %d", resp.StatusCode, want)
				}
			}
		})
	}
	f("refused", 502, refused)
	f("silent", 504, hole)
	f("closes", 502, closes)
	f("garbage", 502, garbage)
	f("no nodes", 503)
	f("refused, then good", 200, refused, good)
	f("silent, then good", 200, hole, good)
	f("closes, then good", 200, closes, good)
}

func TestCutBodyIsVisiblyBroken(t *testing.T) {
	f := func(name, raw string) {
		t.Run(name, func(t *testing.T) {
			b := rawBackend(t, func(c net.Conn) {
				readRequest(bufio.NewReader(c))
				io.WriteString(c, raw)
			})
			g := newGateway(t, nil, b)
			resp, err := http.Get("http://" + g.addr + "/")
			if err != nil {
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err == nil && resp.StatusCode == 200 {
				t.Errorf("the client took %q for the whole body", body)
			}
		})
	}
	f("length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
	f("chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n")
	f("bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n")
}

func TestResponsesWithoutBody(t *testing.T) {
	f := func(name, method, raw, wantField string) {
		t.Run(name, func(t *testing.T) {
			b := rawBackend(t, func(c net.Conn) {
				r := bufio.NewReader(c)
				for {
					if _, _, err := readRequest(r); err != nil {
						return
					}
					io.WriteString(c, raw)
				}
			})
			g := newGateway(t, nil, b)
			got := exchangeRaw(t, g.addr, method+" / HTTP/1.1\r\nHost: a\r\n\r\n"+method+" /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			if n := strings.Count(got, "HTTP/1.1 "); n != 2 {
				t.Errorf("%d responses, want 2: %q", n, got)
			}
			if wantField != "" && !strings.Contains(got, wantField) {
				t.Errorf("no %q in %q", wantField, got)
			}
		})
	}
	f("HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "Content-Length: 100")
	f("204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "")
	f("304", "GET", "HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\nContent-Length: 10\r\n\r\n", "")
	f("interim", "GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "")
}

func TestOldClientsAndOldUpstreams(t *testing.T) {
	untilClose := rawBackend(t, func(c net.Conn) {
		readRequest(bufio.NewReader(c))
		io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\nall of it")
	})
	chunked := rawBackend(t, func(c net.Conn) {
		readRequest(bufio.NewReader(c))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n6\r\n of it\r\n0\r\n\r\n")
	})
	f := func(name, upstream, version, want string) {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil, upstream)
			got := exchangeRaw(t, g.addr, "GET / HTTP/"+version+"\r\nHost: a\r\n\r\n")
			if !strings.HasSuffix(got, want) {
				t.Errorf("got %q, want it to end in %q", got, want)
			}
		})
	}
	f("until close to 1.0", untilClose, "1.0", "\r\n\r\nall of it")
	f("until close to 1.1", untilClose, "1.1", "\r\n\r\n9\r\nall of it\r\n0\r\n\r\n")
	f("chunked to 1.0", chunked, "1.0", "\r\n\r\nall of it")
	f("chunked to 1.1", chunked, "1.1", "\r\n\r\n3\r\nall\r\n6\r\n of it\r\n0\r\n\r\n")
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<"+r.URL.Path+">") })
	g := newGateway(t, nil, b)
	var raw strings.Builder
	const n = 200
	for i := range n {
		fmt.Fprintf(&raw, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
	}
	raw.WriteString("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	got := exchangeRaw(t, g.addr, raw.String())
	at := 0
	for i := range n {
		k := strings.Index(got[at:], fmt.Sprintf("</%d>", i))
		if k < 0 {
			t.Fatalf("answer %d is missing or out of order", i)
		}
		at += k
	}
}

func TestHeadArrivingByteByByte(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })
	g := newGateway(t, nil, b)
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, x := range []byte("GET /slow HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n") {
		c.Write([]byte{x})
	}
	got, _ := io.ReadAll(c)
	if !bytes.HasSuffix(got, []byte("example.com")) {
		t.Errorf("got %q", got)
	}
}

func TestEarlyAnswerReachesAClientThatIsStillSending(t *testing.T) {
	b := rawBackend(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			line, err := r.ReadString('\n')
			if err != nil || line == "\r\n" {
				break
			}
		}
		io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbig!")
		time.AfterFunc(2*time.Second, func() { c.Close() })
		io.Copy(io.Discard, io.LimitReader(r, 1<<20))
	})
	g := newGateway(t, nil, b)
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", 1<<30)
	go func() {
		p := make([]byte, 64<<10)
		for {
			if _, err := c.Write(p); err != nil {
				return
			}
		}
	}()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 413 || string(body) != "big!" {
		t.Errorf("status %d, body %q", resp.StatusCode, body)
	}
}

func TestEchoingUpstreamStreamsInBothDirectionsAtOnce(t *testing.T) {
	b := rawBackend(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		q, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", q.ContentLength)
		io.Copy(c, q.Body)
	})
	g := newGateway(t, nil, b)
	const size = 8 << 20
	pr, pw := io.Pipe()
	go func() {
		p := bytes.Repeat([]byte("y"), 64<<10)
		for sent := 0; sent < size; sent += len(p) {
			pw.Write(p)
		}
		pw.Close()
	}()
	q, _ := http.NewRequest("POST", "http://"+g.addr+"/", pr)
	q.ContentLength = size
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || n != size {
		t.Errorf("got %d of %d bytes: %v", n, size, err)
	}
}

func TestServerSentEventsArriveAsTheyAreFlushed(t *testing.T) {
	next := make(chan struct{})
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-next
		}
	})
	g := newGateway(t, nil, b)
	resp, err := http.Get("http://" + g.addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	for i := range 3 {
		line, err := r.ReadString('\n')
		if err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("event %d: %q, %v", i, line, err)
		}
		r.ReadString('\n')
		next <- struct{}{} // the upstream waits: the event was not held back
	}
}

func TestClientThatLeavesFreesTheUpstream(t *testing.T) {
	gone := make(chan struct{})
	b := rawBackend(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		readRequest(r)
		r.ReadByte() // until the gateway closes
		close(gone)
	})
	g := newGateway(t, nil, b)
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	time.AfterFunc(50*time.Millisecond, func() { c.Close() })
	select {
	case <-gone:
	case <-time.After(1500 * time.Millisecond):
		t.Error("the upstream connection stayed open")
	}
}

func TestPanickingPluginEndsItsRequestAlone(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "fine") })
	g := newGateway(t, func(_ *Config, _ *req.Upstream, e *req.Effective) {
		e.Chain = &req.Chain{}
		e.Chain.Phases[req.Access] = []req.Step{{Name: "explosive", Run: func(ctx *req.Ctx) req.Verdict {
			if string(ctx.Path) == "/boom" {
				panic("boom")
			}
			return req.Continue
		}}}
	}, b)
	for _, c := range []struct {
		path string
		want int
	}{{"/", 200}, {"/boom", 500}, {"/", 200}} {
		resp, err := http.Get("http://" + g.addr + c.path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: status %d, want %d", c.path, resp.StatusCode, c.want)
		}
	}
	if !strings.Contains(g.logs.String(), "explosive") {
		t.Error("the log does not name the plugin")
	}
}

func TestDrainFinishesRequestsInFlight(t *testing.T) {
	hold := make(chan struct{})
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		<-hold
		io.WriteString(w, "fine")
	})
	g := newGateway(t, nil, b)
	answer := make(chan string, 1)
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	go func() {
		p, _ := io.ReadAll(c)
		answer <- string(p)
	}()
	drained := make(chan int)
	time.AfterFunc(100*time.Millisecond, func() {
		go func() { drained <- g.Drain(5 * time.Second) }()
		time.AfterFunc(100*time.Millisecond, func() { close(hold) })
	})
	if cut := <-drained; cut != 0 {
		t.Errorf("%d connections were cut", cut)
	}
	if got := <-answer; !strings.Contains(got, "Connection: close") || !strings.HasSuffix(got, "fine") {
		t.Errorf("got %q", got)
	}
}
