package responserewrite_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"
)

// A switch of protocols gets fields, and nothing that would break it.
func TestUpgrade(t *testing.T) {
	up := gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		kind, msg, err := c.ReadMessage()
		if err == nil {
			c.WriteMessage(kind, msg)
		}
	})
	g := gateway.Start(t, gateway.Options{})
	g.Put(conf.KindRoute, "1", `{"uri":"/*","enable_websocket":true,"plugins":{"gzip":{"types":"*"},
		"response-rewrite":{"status_code":200,"body":"x","headers":{"X-A":"1"}}},"upstream":{"nodes":{"`+up+`":1}}}`)
	d := websocket.Dialer{HandshakeTimeout: 10 * time.Second}
	c, resp, err := d.Dial("ws"+strings.TrimPrefix(g.URL, "http")+"/", http.Header{"Accept-Encoding": {"gzip"}})
	if err != nil || resp.Header.Get("X-A") != "1" {
		t.Fatal(err, resp)
	}
	defer c.Close()
	c.WriteMessage(websocket.TextMessage, []byte("hello"))
	if _, msg, err := c.ReadMessage(); err != nil || string(msg) != "hello" {
		t.Errorf("%q %v", msg, err)
	}
}
