package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/store"
)

// Whoever asks whether the watch has seen a revision gets an answer at once,
// although the change lies outside of the prefix and no event comes.
func TestCaughtUpAsksTheServer(t *testing.T) {
	s := sharedServer(t)
	e := newEtcd(t, store.EtcdConfig{Hosts: s.Endpoints(), Prefix: "/caughtup"})
	b := follow(t, e)
	b.next()
	c := direct(t, s.Endpoints()[0])
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for range 3 {
		rev := putDirect(t, c, "/elsewhere/x", "1")
		if !e.CaughtUp(ctx, rev) {
			t.Fatalf("revision %d is not reached: %d", rev, e.Known().Rev)
		}
	}
	putDirect(t, c, "/elsewhere/x", "2")
	if !e.CatchUp(ctx) {
		t.Error("the newest revision is not reached")
	}
	short, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if e.CaughtUp(short, e.Known().Rev+1000) {
		t.Error("a revision that does not exist is reached")
	}
}
