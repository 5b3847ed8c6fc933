package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
	"github.com/sluicegw/sluice/test/e2e/rawhttp"
)

// Bodies of many sizes arrive unchanged in both directions, with a length and
// chunked.
func TestBodiesBothWays(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// net/http would else stop reading when the response begins.
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			panic(err)
		}
		if r.URL.Query().Get("length") != "" {
			w.Header().Set("Content-Length", r.URL.Query().Get("length"))
		}
		if _, err := io.Copy(w, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(up.Close)
	g := gateway.Start(t, gateway.Options{YAML: yamlRoute("/*", strings.TrimPrefix(up.URL, "http://"))})
	src := rand.NewChaCha8([32]byte{1})
	var wg sync.WaitGroup
	for _, size := range []int{0, 1, 1000, 4095, 4096, 16383, 16384, 65536, 65537, 1 << 20, 32 << 20} {
		body := make([]byte, size)
		src.Read(body)
		for _, mode := range []string{"length", "chunked"} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				url := "http://" + g.Proxy + "/echo"
				var r io.Reader = bytes.NewReader(body)
				if mode == "chunked" {
					r = struct{ io.Reader }{r} // hides the length from net/http
				} else {
					url += fmt.Sprintf("?length=%d", size)
				}
				resp, err := http.Post(url, "application/octet-stream", r)
				if err != nil {
					t.Errorf("%d bytes, %s: %v", size, mode, err)
					return
				}
				defer resp.Body.Close()
				h := sha256.New()
				n, err := io.Copy(h, resp.Body)
				if err != nil || n != int64(size) || !bytes.Equal(h.Sum(nil), hash(body)) {
					t.Errorf("%d bytes, %s: %d bytes came back, error %v", size, mode, n, err)
				}
			}()
		}
	}
	wg.Wait()
}

func hash(b []byte) []byte { s := sha256.Sum256(b); return s[:] }

// A slow reader holds its back end up instead of filling the gateway's memory.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	const total = 512 << 20
	sent := make(chan int64, 1)
	b := backend.Start(t, func(c net.Conn, _ backend.Request) bool {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", total)
		chunk := make([]byte, 256<<10)
		var n int64
		for n < total {
			// A write that takes so long has met back-pressure.
			c.SetWriteDeadline(time.Now().Add(2 * time.Second))
			m, err := c.Write(chunk)
			n += int64(m)
			if err != nil {
				break
			}
		}
		sent <- n
		return false
	})
	g := gateway.Start(t, gateway.Options{YAML: yamlRoute("/*", b.Addr)})
	before, err := gateway.RSS(g.DataPID())
	if err != nil {
		t.Fatal(err)
	}
	c := rawhttp.Dial(t, g.Proxy)
	c.Send(rawhttp.Get("/", "x"))
	n := <-sent
	if n >= total {
		t.Errorf("the gateway took all %d bytes though nobody read them", n)
	}
	after, err := gateway.RSS(g.DataPID())
	if err != nil {
		t.Fatal(err)
	}
	if grown := after - before; grown > 32<<20 {
		t.Errorf("the data process grew by %d MiB", grown>>20)
	}
}

// HEAD, 204 and 304 have no body, whatever their fields say.
func TestBodilessResponses(t *testing.T) {
	t.Parallel()
	b := backend.Start(t, func(c net.Conn, r backend.Request) bool {
		switch r.Target() {
		case "/204":
			return backend.Raw("HTTP/1.1 204 No Content\r\n\r\n", true)(c, r)
		case "/304":
			return backend.Raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: \"a\"\r\n\r\n", true)(c, r)
		}
		return backend.OK("hello")(c, r)
	})
	g := gateway.Start(t, gateway.Options{YAML: yamlRoute("/*", b.Addr)})
	c := rawhttp.Dial(t, g.Proxy)
	for _, want := range []struct {
		method, target string
		status         int
		body           string
	}{{"HEAD", "/", 200, ""}, {"GET", "/204", 204, ""}, {"GET", "/304", 304, ""}, {"GET", "/", 200, "hello"}} {
		c.Send(want.method + " " + want.target + " HTTP/1.1\r\nHost: x\r\n\r\n")
		r := c.MustRead(want.method)
		if r.Status != want.status || string(r.Body) != want.body {
			t.Fatalf("%s %s: %d %q", want.method, want.target, r.Status, r.Body)
		}
	}
}
