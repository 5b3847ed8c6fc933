package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
	"github.com/sluicegw/sluice/core/store/embedded"
)

var shared struct {
	once   sync.Once
	dir    string
	server *embedded.Embedded
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.server != nil {
		shared.server.Close()
		_ = os.RemoveAll(shared.dir)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			println("leaked goroutines:", err.Error())
			code = 1
		}
	}
	os.Exit(code)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// sharedServer is one etcd for all tests that do not disturb it.
func sharedServer(t testing.TB) *embedded.Embedded {
	t.Helper()
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "etcd"); shared.err != nil {
			return
		}
		shared.server, shared.err = embedded.Start(context.Background(), embedded.Config{Dir: shared.dir, Listen: "127.0.0.1:0", NoFsync: true, Log: quiet()})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// ownServer is an etcd that the test may stop; an empty listen takes a port.
func ownServer(t testing.TB, dir, listen string) *embedded.Embedded {
	t.Helper()
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	s, err := embedded.Start(t.Context(), embedded.Config{Dir: dir, Listen: listen, NoFsync: true, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

var prefixes atomic.Int64

// prefixOf is a prefix on the shared server that no other test uses, nor the
// same one when it runs again.
func prefixOf(t testing.TB) string {
	return fmt.Sprintf("/%s_%d", strings.ReplaceAll(t.Name(), "/", "_"), prefixes.Add(1))
}

func newEtcd(t testing.TB, cfg store.EtcdConfig) *store.Etcd {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = quiet()
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	e, err := store.NewEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

// follow runs a provider until the test ends and returns its batches.
func follow(t testing.TB, p store.Provider) *batches {
	t.Helper()
	b := &batches{t: t, ch: make(chan conf.Batch, 1024), state: make(map[string]conf.Object)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.Run(ctx, func(batch conf.Batch) { b.ch <- batch })
	}()
	b.stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(b.stop)
	return b
}

// batches is what a consumer sees, applied to a map.
type batches struct {
	t     testing.TB
	ch    chan conf.Batch
	state map[string]conf.Object
	rev   int64
	fulls int
	stop  func()
}

func (b *batches) next() conf.Batch {
	b.t.Helper()
	select {
	case batch := <-b.ch:
		b.apply(batch)
		return batch
	case <-time.After(20 * time.Second):
		b.t.Fatal("no batch arrived")
	}
	panic("unreachable")
}

func (b *batches) apply(batch conf.Batch) {
	b.t.Helper()
	if batch.Full {
		b.fulls++
		clear(b.state)
	}
	last := b.rev
	for _, o := range batch.Objects {
		if !batch.Full {
			if o.Rev < last {
				b.t.Fatalf("%s %s: revision %d after %d", o.Kind, o.ID, o.Rev, last)
			}
			last = o.Rev
		}
		key := o.Kind.Dir() + "/" + o.ID
		if o.Deleted() {
			delete(b.state, key)
		} else {
			b.state[key] = o
		}
	}
	b.rev = batch.Rev
}

// until applies batches until ok.
func (b *batches) until(what string, ok func() bool) {
	b.t.Helper()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case batch := <-b.ch:
			b.apply(batch)
		case <-deadline:
			b.t.Fatalf("%s did not come; revision %d, %d objects", what, b.rev, len(b.state))
		}
	}
}

// eventually polls what has no event of its own.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not happen in time", what)
		}
	}
}
