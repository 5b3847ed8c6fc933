package main

import (
	"os"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
)

// A key that the gateway does not know would silently measure something else.
func TestSluiceConfigIsUnderstood(t *testing.T) {
	for _, engine := range []string{"epoll", "uring"} {
		s, notices, err := conf.ParseSettings("config.yaml", []byte(sluiceConfig(engine, "127.0.0.1:9080")), os.LookupEnv)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range notices {
			t.Errorf("%v", n)
		}
		if s.Sluice.Engine != engine || s.Nginx.HTTP.KeepaliveRequests < 1_000_000 {
			t.Errorf("engine %q, %d requests a connection", s.Sluice.Engine, s.Nginx.HTTP.KeepaliveRequests)
		}
	}
}
