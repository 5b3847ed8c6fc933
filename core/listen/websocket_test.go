package listen

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sluicegw/sluice/core/req"
)

// websocketBackend echoes messages; one that says "close" is answered with a
// close frame.
func websocketBackend(t testing.TB) string {
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	return backend(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			kind, msg, err := c.ReadMessage()
			if err != nil {
				return
			}
			if string(msg) == "close" {
				c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(4321, "as told"))
				return
			}
			if c.WriteMessage(kind, msg) != nil {
				return
			}
		}
	})
}

func allowWebsocket(_ *Config, _ *req.Upstream, e *req.Effective) { e.Websocket = true }

func dialWebsocket(t testing.TB, g *gateway) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.DefaultDialer.Dial("ws://"+g.addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestWebsocketMessagesPassBothWays(t *testing.T) {
	g := newGateway(t, allowWebsocket, websocketBackend(t))
	c := dialWebsocket(t, g)
	for _, size := range []int{0, 1, 125, 126, 65_535, 65_536, 1_000_000} {
		msg := bytes.Repeat([]byte("w"), size)
		if err := c.WriteMessage(websocket.BinaryMessage, msg); err != nil {
			t.Fatal(err)
		}
		_, got, err := c.ReadMessage()
		if err != nil || !bytes.Equal(got, msg) {
			t.Fatalf("message of %d bytes came back with %d, %v", size, len(got), err)
		}
	}
	// In fragments.
	w, err := c.NextWriter(websocket.TextMessage)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		io.WriteString(w, strings.Repeat("f", 5000))
	}
	w.Close()
	if _, got, err := c.ReadMessage(); err != nil || len(got) != 100_000 {
		t.Errorf("fragmented message: %d bytes, %v", len(got), err)
	}
}

func TestWebsocketCloseCodePasses(t *testing.T) {
	g := newGateway(t, allowWebsocket, websocketBackend(t))
	c := dialWebsocket(t, g)
	c.WriteMessage(websocket.TextMessage, []byte("close"))
	_, _, err := c.ReadMessage()
	if !websocket.IsCloseError(err, 4321) {
		t.Errorf("got %v, want close code 4321", err)
	}
}

func TestWebsocketOnARouteThatDoesNotAllowIt(t *testing.T) {
	g := newGateway(t, nil, websocketBackend(t))
	_, resp, err := websocket.DefaultDialer.Dial("ws://"+g.addr+"/ws", nil)
	if err == nil {
		t.Fatal("the upgrade went through")
	}
	if resp == nil || resp.StatusCode == 101 {
		t.Errorf("response %v", resp)
	}
}

func TestWebsocketDeathOfEitherEndReachesTheOther(t *testing.T) {
	gone := make(chan struct{}, 1)
	serve := make(chan net.Conn, 1)
	b := rawBackend(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
		serve <- c
		io.Copy(io.Discard, r)
		gone <- struct{}{}
	})
	g := newGateway(t, allowWebsocket, b)
	open := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
		r := bufio.NewReader(c)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 101 {
			t.Fatalf("%v, %v", resp, err)
		}
		p := make([]byte, 5)
		if _, err := io.ReadFull(r, p); err != nil || string(p) != "hello" {
			t.Fatalf("what came behind the 101 is %q, %v", p, err)
		}
		return c, r
	}
	client, _ := open()
	<-serve
	client.Close()
	select {
	case <-gone:
	case <-time.After(3 * time.Second):
		t.Error("the back end does not see that the client left")
	}
	client, r := open()
	defer client.Close()
	(<-serve).Close()
	client.SetReadDeadline(time.Now().Add(3 * time.Second))
	if _, err := r.ReadByte(); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the client does not see that the back end left: %v", err)
	}
}

func TestFiveHundredTunnels(t *testing.T) {
	g := newGateway(t, allowWebsocket, websocketBackend(t))
	const n = 500
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		wg.Go(func() {
			c, _, err := websocket.DefaultDialer.Dial("ws://"+g.addr+"/ws", nil)
			if err != nil {
				errs <- err
				return
			}
			defer c.Close()
			for k := range 5 {
				want := fmt.Sprintf("%d/%d", i, k)
				if err := c.WriteMessage(websocket.TextMessage, []byte(want)); err != nil {
					errs <- err
					return
				}
				if _, got, err := c.ReadMessage(); err != nil || string(got) != want {
					errs <- fmt.Errorf("got %q, %v, want %q", got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}
