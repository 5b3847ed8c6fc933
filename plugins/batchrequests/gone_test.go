package batchrequests_test

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluicegw/sluice/test/gateway"
)

// When the client of a batch leaves, what it waits for is given up and the rest
// is not served.
func TestClientThatLeaves(t *testing.T) {
	begun, gone := make(chan string, 10), make(chan struct{})
	up := gateway.Backend(t, func(w http.ResponseWriter, r *http.Request) {
		begun <- r.URL.Path
		if r.URL.Path == "/up/slow" {
			select {
			case <-r.Context().Done():
				close(gone)
			case <-time.After(30 * time.Second):
			}
		}
	})
	g := start(t, gateway.Options{}, up)
	c, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	batch := `{"pipeline":[{"path":"/up/slow"},{"path":"/up/2"}]}`
	fmt.Fprintf(c, "POST /apisix/batch-requests HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(batch), batch)
	<-begun
	c.Close()
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Fatal("the upstream goes on working for nobody")
	}
	if got := send(t, g, `{"pipeline":[{"path":"/up/after"}]}`); got[0].Status != 200 {
		t.Errorf("%+v", got)
	}
	if p := <-begun; p != "/up/after" {
		t.Errorf("%s was served for a client that had left", p)
	}
}
