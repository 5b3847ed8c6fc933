package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sluicegw/sluice/test/e2e/gateway"
)

// webSocketServer echoes messages; "close:CODE" makes it close with CODE and
// "die" makes it drop the connection.
func webSocketServer(t *testing.T) string {
	t.Helper()
	up := websocket.Upgrader{Subprotocols: []string{"chat"}, ReadBufferSize: 4096, WriteBufferSize: 4096}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
			var code int
			switch {
			case string(msg) == "die":
				return
			case scan(string(msg), &code):
				c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, "because"), time.Now().Add(time.Second))
				return
			}
			if c.WriteMessage(kind, msg) != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func scan(msg string, code *int) bool {
	n, _ := fmt.Sscanf(msg, "close:%d", code)
	return n == 1
}

func dialWebSocket(t *testing.T, g *gateway.Gateway, path string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	d := websocket.Dialer{HandshakeTimeout: 10 * time.Second, Subprotocols: []string{"chat"}}
	c, resp, err := d.Dial("ws://"+g.Proxy+path, nil)
	if err == nil {
		t.Cleanup(func() { c.Close() })
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
	}
	return c, resp, err
}

func startWebSocket(t *testing.T) *gateway.Gateway {
	t.Helper()
	addr := webSocketServer(t)
	return gateway.Start(t, gateway.Options{YAML: fmt.Sprintf(`
routes:
  - {id: on, uri: /ws, enable_websocket: true, upstream: {nodes: {%q: 1}}}
  - {id: off, uri: /plain, upstream: {nodes: {%q: 1}}}
`, addr, addr)})
}

func TestWebSocketMessages(t *testing.T) {
	t.Parallel()
	g := startWebSocket(t)
	c, resp, err := dialWebSocket(t, g, "/ws")
	if err != nil {
		t.Fatalf("handshake: %v", err)
	}
	if c.Subprotocol() != "chat" || resp.StatusCode != 101 {
		t.Errorf("status %d, subprotocol %q", resp.StatusCode, c.Subprotocol())
	}
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 4 << 20} {
		msg := bytes.Repeat([]byte{byte(size)}, size)
		if err := c.WriteMessage(websocket.BinaryMessage, msg); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if _, got, err := c.ReadMessage(); err != nil || !bytes.Equal(got, msg) {
			t.Fatalf("%d bytes: %d came back, error %v", size, len(got), err)
		}
	}
	// A message in fragments, with a ping between them.
	w, err := c.NextWriter(websocket.TextMessage)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		w.Write(bytes.Repeat([]byte("fragment "), 1000))
		c.WriteControl(websocket.PingMessage, []byte("p"), time.Now().Add(time.Second))
	}
	w.Close()
	if _, got, err := c.ReadMessage(); err != nil || len(got) != 45000 {
		t.Errorf("fragments: %d bytes, %v", len(got), err)
	}
}

func TestWebSocketEnds(t *testing.T) {
	t.Parallel()
	g := startWebSocket(t)
	for _, code := range []int{1000, 1001, 1008, 1011, 4000} {
		c, _, err := dialWebSocket(t, g, "/ws")
		if err != nil {
			t.Fatal(err)
		}
		c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, "close:%d", code))
		var end *websocket.CloseError
		if _, _, err := c.ReadMessage(); !errors.As(err, &end) || end.Code != code || end.Text != "because" {
			t.Errorf("close code %d arrived as %v", code, err)
		}
	}
	c, _, err := dialWebSocket(t, g, "/ws")
	if err != nil {
		t.Fatal(err)
	}
	c.WriteMessage(websocket.TextMessage, []byte("die"))
	if _, _, err := c.ReadMessage(); err == nil {
		t.Error("the client does not notice the back end's death")
	}
	if _, resp, err := dialWebSocket(t, g, "/plain"); err == nil || resp == nil || resp.StatusCode == 101 {
		t.Errorf("a route without enable_websocket upgrades: %v, error %v", resp, err)
	}
}

// 500 tunnels at once; all of them end when the gateway is told to stop.
func TestManyWebSockets(t *testing.T) {
	t.Parallel()
	g := startWebSocket(t)
	const tunnels = 500
	conns := make([]*websocket.Conn, tunnels)
	var wg sync.WaitGroup
	for i := range conns {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, _, err := dialWebSocket(t, g, "/ws")
			if err != nil {
				t.Errorf("tunnel %d: %v", i, err)
				return
			}
			conns[i] = c
		}()
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for round := range 3 {
		for i, c := range conns {
			wg.Add(1)
			go func() {
				defer wg.Done()
				msg := fmt.Sprintf("message %d of tunnel %d", round, i)
				if err := c.WriteMessage(websocket.TextMessage, []byte(msg)); err != nil {
					t.Errorf("tunnel %d: %v", i, err)
					return
				}
				if _, got, err := c.ReadMessage(); err != nil || string(got) != msg {
					t.Errorf("tunnel %d: %q, %v", i, got, err)
				}
			}()
		}
		wg.Wait()
	}
	begin := time.Now()
	g.Signal(syscall.SIGTERM)
	g.Wait(15 * time.Second)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the end took %v with worker_shutdown_timeout 5s", took)
	}
}
