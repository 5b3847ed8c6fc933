package store

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store/embedded"
)

// A store restored with its cluster's id and then written to again passes the
// tests for id and revision; its history must give it away.
func TestHistoryMustHoldOurNewestChange(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	s, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), Listen: "off", NoFsync: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	e, err := NewEtcd(EtcdConfig{Hosts: s.Endpoints(), Timeout: 5 * time.Second, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	var revs []int64
	for i := range 5 {
		r, err := e.Put(t.Context(), conf.KindRoute, "1", []byte(fmt.Sprint(i)), PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		revs = append(revs, r.Rev)
	}
	gone, err := e.Delete(t.Context(), conf.KindRoute, "1")
	if err != nil {
		t.Fatal(err)
	}
	c, err := e.conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := func(name string, a anchor, regress bool) {
		t.Helper()
		f := &follower{e: e, anchor: a}
		var r *regressError
		if err := f.verify(t.Context(), c); errors.As(err, &r) != regress || err != nil && !regress {
			t.Errorf("%s: %v", name, err)
		}
	}
	key := e.layout.Key(conf.KindRoute, "1")
	f("nothing known", anchor{}, false)
	f("newest change", anchor{key: key, rev: revs[4]}, false)
	f("deletion", anchor{key: key, rev: gone, deleted: true}, false)
	f("never written", anchor{key: "/apisix/routes/2", rev: revs[4]}, true)
	f("a write where a deletion was", anchor{key: key, rev: gone}, true)
	f("a deletion where a write was", anchor{key: key, rev: revs[4], deleted: true}, true)
	f("revision of the future", anchor{key: key, rev: gone + 100}, true)
	if _, err := c.Compact(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	f("compacted away", anchor{key: "/apisix/routes/2", rev: revs[2]}, false)
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	for n := range 40 {
		d := backoff(n, 5*time.Second)
		if d < 100*time.Millisecond || d > 7500*time.Millisecond {
			t.Fatalf("pause %d is %v", n, d)
		}
		if n > 8 && d < 2500*time.Millisecond {
			t.Fatalf("pause %d is only %v", n, d)
		}
	}
}
