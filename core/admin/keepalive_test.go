package admin

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// A body that nobody read must not be taken for the next request.
func TestUnreadBodiesDoNotDisturbTheConnection(t *testing.T) {
	b := newBench(t, nil)
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	send := func(method, path, key string, size int) int {
		t.Helper()
		body := `{"uri":"/a","desc":"` + strings.Repeat("x", size) + `"}`
		req, err := http.NewRequest(method, b.url+base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-API-KEY", key)
		res, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s %s, %d bytes: %v", method, path, size, err)
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode
	}
	for _, size := range []int{10, 10_000, 100_000, 1_000_000} {
		if got := send("PUT", "/routes/1", "wrong", size); got != 401 {
			t.Errorf("%d bytes with a wrong key: %d", size, got)
		}
		if got := send("GET", "/plugins/list", testKey, size); got != 200 {
			t.Errorf("%d bytes on a path without body: %d", size, got)
		}
		if got := send("PUT", "/routes/1", testKey, size); got/100 != 2 {
			t.Errorf("%d bytes: %d", size, got)
		}
	}
}
