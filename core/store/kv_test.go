package store_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
	"github.com/sluicegw/sluice/core/store/memkv"
)

// eachKV runs f against every implementation: what the Admin API is tested
// with must behave as what it runs on.
func eachKV(t *testing.T, f func(t *testing.T, kv store.KV)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		m := memkv.New()
		t.Cleanup(func() { _ = m.Close() })
		if err := m.InitDirs(t.Context()); err != nil {
			t.Fatal(err)
		}
		f(t, m)
	})
	t.Run("etcd", func(t *testing.T) {
		e := newEtcd(t, store.EtcdConfig{Hosts: sharedServer(t).Endpoints(), Prefix: prefixOf(t)})
		if err := e.InitDirs(t.Context()); err != nil {
			t.Fatal(err)
		}
		f(t, e)
	})
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestPutTellsWhetherTheObjectIsNew(t *testing.T) {
	eachKV(t, func(t *testing.T, kv store.KV) {
		put := must[store.PutResult](t)
		a := put(kv.Put(t.Context(), conf.KindRoute, "1", []byte(`{"uri":"/a"}`), store.PutOptions{}))
		b := put(kv.Put(t.Context(), conf.KindRoute, "1", []byte(`{"uri":"/b"}`), store.PutOptions{}))
		if !a.Created || a.CreateRev != a.Rev || b.Created || b.CreateRev != a.Rev || b.Rev <= a.Rev {
			t.Fatalf("%+v %+v", a, b)
		}
		o, err := kv.Get(t.Context(), conf.KindRoute, "1")
		if err != nil || string(o.Value) != `{"uri":"/b"}` || o.CreateRev != a.Rev || o.Rev != b.Rev || o.ID != "1" || o.Kind != conf.KindRoute {
			t.Fatalf("%+v %v", o, err)
		}
	})
}

func TestMissingObjects(t *testing.T) {
	eachKV(t, func(t *testing.T, kv store.KV) {
		if _, err := kv.Get(t.Context(), conf.KindRoute, "none"); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("get: %v", err)
		}
		if _, err := kv.Delete(t.Context(), conf.KindRoute, "none"); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("delete: %v", err)
		}
		if _, err := kv.CompareAndSwap(t.Context(), conf.KindRoute, "none", nil, 7, store.PutOptions{}); !errors.Is(err, store.ErrConflict) {
			t.Fatalf("swap: %v", err)
		}
		if _, _, err := kv.GetRaw(t.Context(), "plugins"); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("raw: %v", err)
		}
		l, err := kv.List(t.Context(), conf.KindRoute, "")
		if err != nil || !l.Exists || len(l.Objects) != 0 {
			t.Fatalf("list of an empty collection: %+v %v", l, err)
		}
	})
}

func TestConditionsOfWrites(t *testing.T) {
	eachKV(t, func(t *testing.T, kv store.KV) {
		put := must[store.PutResult](t)
		a := put(kv.PutIfAbsent(t.Context(), conf.KindService, "s", []byte(`{}`), store.PutOptions{}))
		if _, err := kv.PutIfAbsent(t.Context(), conf.KindService, "s", []byte(`{}`), store.PutOptions{}); !errors.Is(err, store.ErrConflict) {
			t.Fatalf("second create: %v", err)
		}
		b := put(kv.CompareAndSwap(t.Context(), conf.KindService, "s", []byte(`{"v":2}`), a.Rev, store.PutOptions{}))
		_, err := kv.CompareAndSwap(t.Context(), conf.KindService, "s", []byte(`{"v":3}`), a.Rev, store.PutOptions{})
		var c *store.ConflictError
		if !errors.As(err, &c) || c.Rev != b.Rev || c.ID != "s" || c.Kind != conf.KindService || errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("stale swap: %v", err)
		}
	})
}

func TestOneOfManySwapsWins(t *testing.T) {
	eachKV(t, func(t *testing.T, kv store.KV) {
		a := must[store.PutResult](t)(kv.Put(t.Context(), conf.KindRoute, "1", []byte(`0`), store.PutOptions{}))
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for i := range 8 {
			wg.Go(func() {
				_, err := kv.CompareAndSwap(t.Context(), conf.KindRoute, "1", []byte(strconv.Itoa(i)), a.Rev, store.PutOptions{})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !errors.Is(err, store.ErrConflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Fatalf("%d swaps at one revision succeeded", won)
		}
	})
}

func TestListsAreSortedByCreationAndKeepKindsApart(t *testing.T) {
	eachKV(t, func(t *testing.T, kv store.KV) {
		ctx := t.Context()
		put := func(kind conf.Kind, id string) {
			t.Helper()
			must[store.PutResult](t)(kv.Put(ctx, kind, id, []byte(`{}`), store.PutOptions{}))
		}
		put(conf.KindConsumer, "jack")
		put(conf.KindCredential, store.CredentialID("jack", "b"))
		put(conf.KindCredential, store.CredentialID("jack", "a"))
		put(conf.KindConsumer, "jackson")
		put(conf.KindCredential, store.CredentialID("jackson", "c"))
		put(conf.KindConsumer, "abel")
		put(conf.KindConsumer, "jack") // written again: keeps its place
		put(conf.KindSecret, "vault/1")
		put(conf.KindSecret, "aws/1")
		f := func(kind conf.Kind, prefix, want string) {
			t.Helper()
			l, err := kv.List(ctx, kind, prefix)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, o := range l.Objects {
				if o.Kind != kind {
					t.Errorf("%s in the list of %s", o.Kind, kind)
				}
				ids = append(ids, o.ID)
			}
			if got := strings.Join(ids, " "); got != want {
				t.Errorf("%s %q: %s, want %s", kind, prefix, got, want)
			}
		}
		f(conf.KindConsumer, "", "jack jackson abel")
		f(conf.KindCredential, "", "jack/credentials/b jack/credentials/a jackson/credentials/c")
		f(conf.KindCredential, store.CredentialPrefix("jack"), "jack/credentials/b jack/credentials/a")
		f(conf.KindSecret, "", "vault/1 aws/1")
		f(conf.KindSecret, "aws/", "aws/1")
		f(conf.KindRoute, "", "")
	})
}

func TestConsumerTakesItsCredentialsAlong(t *testing.T) {
	eachKV(t, func(t *testing.T, kv store.KV) {
		ctx := t.Context()
		for kind, id := range map[string]conf.Kind{"jack": conf.KindConsumer, "jackson": conf.KindConsumer,
			"jack/credentials/1": conf.KindCredential, "jackson/credentials/1": conf.KindCredential} {
			must[store.PutResult](t)(kv.Put(ctx, id, kind, []byte(`{}`), store.PutOptions{}))
		}
		must[int64](t)(kv.Delete(ctx, conf.KindConsumer, "jack"))
		l := must[store.Listing](t)(kv.List(ctx, conf.KindCredential, ""))
		if len(l.Objects) != 1 || l.Objects[0].ID != "jackson/credentials/1" {
			t.Fatalf("%+v", l.Objects)
		}
	})
}

func TestGeneratedIDs(t *testing.T) {
	eachKV(t, func(t *testing.T, kv store.KV) {
		a := must[string](t)(kv.NextID(t.Context()))
		b := must[string](t)(kv.NextID(t.Context()))
		if len(a) != 20 || len(b) != 20 || a >= b {
			t.Fatalf("%q %q", a, b)
		}
		if _, err := strconv.ParseInt(a, 10, 64); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTransactionIsAllOrNothing(t *testing.T) {
	eachKV(t, func(t *testing.T, kv store.KV) {
		ctx := t.Context()
		up := must[store.PutResult](t)(kv.Put(ctx, conf.KindUpstream, "u", []byte(`{}`), store.PutOptions{}))
		old := must[store.PutResult](t)(kv.Put(ctx, conf.KindRoute, "old", []byte(`{}`), store.PutOptions{}))
		res, err := kv.Txn(ctx, []store.Op{
			{Type: store.OpCheck, Kind: conf.KindUpstream, ID: "u", Cond: store.IfRev, Rev: up.Rev},
			{Type: store.OpPut, Kind: conf.KindRoute, ID: "new", Value: []byte(`{}`), Cond: store.IfAbsent},
			{Type: store.OpPut, Kind: conf.KindRoute, ID: "old", Value: []byte(`{"v":2}`)},
			{Type: store.OpDelete, Kind: conf.KindRoute, ID: "none"},
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []store.PutResult{{}, {Created: true, CreateRev: res.Rev, Rev: res.Rev}, {CreateRev: old.Rev, Rev: res.Rev}, {}}
		for i := range want {
			if res.Puts[i] != want[i] {
				t.Errorf("operation %d: %+v, want %+v", i, res.Puts[i], want[i])
			}
		}

		_, err = kv.Txn(ctx, []store.Op{
			{Type: store.OpDelete, Kind: conf.KindRoute, ID: "old"},
			{Type: store.OpCheck, Kind: conf.KindUpstream, ID: "gone", Cond: store.IfPresent},
		})
		var c *store.ConflictError
		if !errors.As(err, &c) || c.Kind != conf.KindUpstream || c.ID != "gone" {
			t.Fatalf("%v", err)
		}
		if _, err := kv.Get(ctx, conf.KindRoute, "old"); err != nil {
			t.Fatalf("a refused transaction had an effect: %v", err)
		}
	})
}

func TestTransactionsThatNoStoreTakes(t *testing.T) {
	eachKV(t, func(t *testing.T, kv store.KV) {
		f := func(want string, ops ...store.Op) {
			t.Helper()
			if _, err := kv.Txn(t.Context(), ops); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
		route := store.Op{Type: store.OpPut, Kind: conf.KindRoute, ID: "1"}
		f("names this object twice", route, route)
		f("would take it along", store.Op{Type: store.OpDelete, Kind: conf.KindConsumer, ID: "j"},
			store.Op{Type: store.OpPut, Kind: conf.KindCredential, ID: "j/credentials/1"})
		f("is no id", store.Op{Type: store.OpPut, Kind: conf.KindRoute, ID: "a/b"})
		f("is no id", store.Op{Type: store.OpPut, Kind: conf.KindCredential, ID: "j"})
		f("is no id", store.Op{Type: store.OpPut, Kind: conf.KindSecret, ID: "vault"})
		f("unknown operation", store.Op{Kind: conf.KindRoute, ID: "1"})
		many := make([]store.Op, kv.MaxTxnOps()+1)
		for i := range many {
			many[i] = store.Op{Type: store.OpPut, Kind: conf.KindRoute, ID: fmt.Sprint(i)}
		}
		if _, err := kv.Txn(t.Context(), many); !errors.Is(err, store.ErrTooManyOps) {
			t.Errorf("%v", err)
		}
		if _, err := kv.Txn(t.Context(), many[1:]); err != nil {
			t.Errorf("the largest transaction: %v", err)
		}
	})
}

func TestObjectsWithTTLVanish(t *testing.T) {
	eachKV(t, func(t *testing.T, kv store.KV) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		gone, reading := make(chan struct{}), make(chan struct{})
		done := make(chan struct{})
		rctx, stop := context.WithCancel(ctx)
		defer func() { stop(); <-done }()
		go func() {
			defer close(done)
			_ = kv.(store.Provider).Run(rctx, func(b conf.Batch) {
				if b.Full {
					close(reading)
				}
				for _, o := range b.Objects {
					if o.ID == "mortal" && o.Deleted() {
						close(gone)
					}
				}
			})
		}()
		<-reading
		for _, id := range []string{"mortal", "kept"} {
			must[store.PutResult](t)(kv.Put(ctx, conf.KindRoute, id, []byte(`{}`), store.PutOptions{TTL: time.Second}))
		}
		must[store.PutResult](t)(kv.Put(ctx, conf.KindRoute, "kept", []byte(`{}`), store.PutOptions{}))
		select {
		case <-gone:
		case <-ctx.Done():
			t.Fatal("the object outlived its time")
		}
		if _, err := kv.Get(ctx, conf.KindRoute, "kept"); err != nil {
			t.Fatalf("a write without ttl must end the former one's: %v", err)
		}
	})
}

func TestRawKeys(t *testing.T) {
	eachKV(t, func(t *testing.T, kv store.KV) {
		rev := must[int64](t)(kv.PutRaw(t.Context(), "plugins", []byte(`[{"name":"cors"}]`), store.PutOptions{}))
		v, got, err := kv.GetRaw(t.Context(), "plugins")
		if err != nil || got != rev || string(v) != `[{"name":"cors"}]` {
			t.Fatalf("%s %d %v", v, got, err)
		}
	})
}

func TestUnavailableStoreSaysSo(t *testing.T) {
	m := memkv.New()
	m.Fail(&store.UnavailableError{Action: "read", Status: "down"})
	if _, err := m.Get(t.Context(), conf.KindRoute, "1"); !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
	if s := m.Status(); s.Reachable || !strings.Contains(s.LastError, "down") {
		t.Fatalf("%+v", s)
	}
	m.Fail(nil)
	if _, err := m.Put(t.Context(), conf.KindRoute, "1", nil, store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}
