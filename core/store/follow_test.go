package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
)

// direct is a client as an operator's etcdctl.
func direct(t testing.TB, endpoint string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func putDirect(t testing.TB, c *clientv3.Client, key, value string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	resp, err := c.Put(ctx, key, value)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Header.Revision
}

func TestFirstReadThenEveryChangeInOrder(t *testing.T) {
	p := prefixOf(t)
	c := direct(t, sharedServer(t).Endpoints()[0])
	putDirect(t, c, p+"/routes/", "init_dir")
	putDirect(t, c, p+"/routes/1", `{"uri":"/1"}`)
	putDirect(t, c, p+"/consumers/jack", `{}`)
	putDirect(t, c, p+"/consumers/jack/credentials/k", `{}`)
	putDirect(t, c, p+"/services/s/graphql_cost_decorations/d", `{}`)
	putDirect(t, c, p+"/data_plane/server_info/x", `{}`)
	putDirect(t, c, p+"/empty", ``)
	putDirect(t, c, p+"2/routes/other", `{}`)
	first := putDirect(t, c, p+"/plugins", `[{"name":"cors"}]`)

	plugins := make(chan string, 8)
	e := newEtcd(t, store.EtcdConfig{Hosts: sharedServer(t).Endpoints(), Prefix: p,
		OnPlugins: func(v []byte, _ int64) { plugins <- string(v) }})
	b := follow(t, e)
	full := b.next()
	if !full.Full || full.Rev < first || len(full.Objects) != 3 {
		t.Fatalf("%+v", full)
	}
	var names []string
	for _, o := range full.Objects {
		names = append(names, o.Kind.String()+" "+o.ID)
	}
	if got := strings.Join(names, ", "); got != "consumer jack, credential jack/credentials/k, route 1" {
		t.Fatalf("order of a first load: %s", got)
	}
	if v := <-plugins; v != `[{"name":"cors"}]` {
		t.Fatalf("plugin list %q", v)
	}

	for i := range 50 {
		putDirect(t, c, p+"/routes/1", fmt.Sprintf(`{"n":%d}`, i))
	}
	putDirect(t, c, p+"/routes/2", "not JSON")
	putDirect(t, c, p+"/routes/3", "")
	putDirect(t, c, p+"/plugins", `[]`)
	if _, err := c.Delete(t.Context(), p+"/consumers/jack"); err != nil {
		t.Fatal(err)
	}
	b.until("the deletion", func() bool { _, ok := b.state["consumers/jack"]; return !ok })
	if got := string(b.state["routes/1"].Value); got != `{"n":49}` {
		t.Fatalf("route 1 is %s", got)
	}
	if o := b.state["routes/3"]; o.Deleted() {
		t.Fatal("an empty value is taken for a deletion")
	}
	if v := <-plugins; v != `[]` {
		t.Fatalf("plugin list %q", v)
	}
	s := e.Status()
	if !s.Reachable || !s.Synced || s.Keys != 4 || s.Reconnects != 0 || s.LastError != "" {
		t.Fatalf("%+v", s)
	}
}

func TestBurstsAreJoinedAndRevisionsNeverSplit(t *testing.T) {
	p := prefixOf(t)
	e := newEtcd(t, store.EtcdConfig{Hosts: sharedServer(t).Endpoints(), Prefix: p})
	// A sink that is held up lets the changes pile up behind it.
	hold := make(chan struct{})
	var got []conf.Batch
	all := make(chan struct{})
	seen := 0
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	entered := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.Run(ctx, func(b conf.Batch) {
			if b.Full {
				close(entered)
				<-hold
				return
			}
			got = append(got, b)
			if seen += len(b.Objects); seen == 640 {
				close(all)
			}
		})
	}()
	<-entered
	for i := range 20 {
		ops := make([]store.Op, 32)
		for j := range ops {
			ops[j] = store.Op{Type: store.OpPut, Kind: conf.KindRoute, ID: fmt.Sprint(j), Value: []byte(fmt.Sprint(i))}
		}
		if _, err := e.Txn(t.Context(), ops); err != nil {
			t.Fatal(err)
		}
	}
	close(hold)
	select {
	case <-all:
	case <-time.After(20 * time.Second):
		t.Fatal("not every change arrived")
	}
	cancel()
	<-done
	if len(got) >= 20 {
		t.Errorf("%d batches for a burst of 20 revisions", len(got))
	}
	last := int64(0)
	for _, b := range got {
		if first := b.Objects[0].Rev; first == last {
			t.Fatalf("revision %d was split over two batches", last)
		}
		if last = b.Objects[len(b.Objects)-1].Rev; b.Rev != last {
			t.Fatalf("batch says revision %d, its last object %d", b.Rev, last)
		}
	}
}

func TestTenThousandKeysInPages(t *testing.T) {
	const n = 10000
	p := prefixOf(t)
	c := direct(t, sharedServer(t).Endpoints()[0])
	for i := 0; i < n; i += 500 {
		ops := make([]clientv3.Op, 500)
		for j := range ops {
			ops[j] = clientv3.OpPut(fmt.Sprintf("%s/routes/%d", p, i+j), fmt.Sprintf(`{"uri":"/%d","pad":"%0200d"}`, i+j, 0))
		}
		if _, err := c.Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	cfg := store.EtcdConfig{Hosts: sharedServer(t).Endpoints(), Prefix: p}
	cfg.SetPace(time.Second, 100)
	e := newEtcd(t, cfg)
	b := follow(t, e)
	if full := b.next(); len(full.Objects) != n || len(b.state) != n {
		t.Fatalf("%d objects", len(full.Objects))
	}
	l, err := e.List(t.Context(), conf.KindRoute, "")
	if err != nil || len(l.Objects) != n {
		t.Fatalf("%d %v", len(l.Objects), err)
	}
}

func TestRevisionAdvancesWithoutChangesBelowThePrefix(t *testing.T) {
	p := prefixOf(t)
	c := direct(t, sharedServer(t).Endpoints()[0])
	cfg := store.EtcdConfig{Hosts: sharedServer(t).Endpoints(), Prefix: p}
	cfg.SetPace(20*time.Millisecond, 0)
	e := newEtcd(t, cfg)
	b := follow(t, e)
	b.next()
	rev := putDirect(t, c, p+"-other/x", "y")
	eventually(t, "the progress notification", func() bool { s := e.Status(); return s.Rev >= rev && s.Behind == 0 })
	// The notified revision is safe to resume from: a compaction up to there
	// must not force a full read.
	rev = putDirect(t, c, p+"-other/x", "z")
	eventually(t, "the second notification", func() bool { return e.Status().Rev >= rev })
	if len(b.ch) != 0 {
		t.Fatal("a change outside the prefix made a batch")
	}
}

func TestCompactionIsFollowedByAFullRead(t *testing.T) {
	s := ownServer(t, t.TempDir(), "")
	addr := s.Addr()
	proxy := newCutter(t, addr)
	c := direct(t, "http://"+addr)
	e := newEtcd(t, store.EtcdConfig{Hosts: []string{"http://" + proxy.addr()}, ResyncDelay: 50 * time.Millisecond, HealthCheckTimeout: time.Second})
	putDirect(t, c, "/apisix/routes/kept", `{}`)
	putDirect(t, c, "/apisix/routes/changed", `1`)
	putDirect(t, c, "/apisix/routes/gone", `{}`)
	b := follow(t, e)
	b.next()
	kept := b.state["routes/kept"]

	proxy.cut()
	putDirect(t, c, "/apisix/routes/changed", `2`)
	if _, err := c.Delete(t.Context(), "/apisix/routes/gone"); err != nil {
		t.Fatal(err)
	}
	rev := putDirect(t, c, "/apisix/routes/new", `{}`)
	if _, err := c.Compact(t.Context(), rev, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	proxy.restore()

	b.until("the full read", func() bool { return b.fulls == 2 })
	if len(b.state) != 3 || string(b.state["routes/changed"].Value) != "2" {
		t.Fatalf("%v", b.state)
	}
	if o := b.state["routes/kept"]; o.Rev != kept.Rev || o.CreateRev != kept.CreateRev || string(o.Value) != string(kept.Value) {
		t.Fatalf("an unchanged object differs: %+v, was %+v", o, kept)
	}
	if st := e.Status(); st.Rereads != 1 || st.Regress != nil {
		t.Fatalf("%+v", st)
	}
}

func TestServerRestartLosesNoChange(t *testing.T) {
	dir := t.TempDir()
	s := ownServer(t, dir, "")
	addr := s.Addr()
	e := newEtcd(t, store.EtcdConfig{Hosts: []string{"http://" + addr}, ResyncDelay: 50 * time.Millisecond, HealthCheckTimeout: time.Second, Timeout: 5 * time.Second})
	b := follow(t, e)
	b.next()
	for round := range 2 {
		putDirect(t, direct(t, "http://"+addr), "/apisix/routes/before", fmt.Sprint(round))
		s.Stop()
		eventually(t, "noticing the outage", func() bool { return !e.Status().Reachable })
		if _, err := e.Get(t.Context(), conf.KindRoute, "before"); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("a read in the outage: %v", err)
		}
		s = ownServer(t, dir, addr)
		putDirect(t, direct(t, "http://"+addr), "/apisix/routes/after", fmt.Sprint(round))
		b.until("the change after the restart", func() bool { return string(b.state["routes/after"].Value) == fmt.Sprint(round) })
		if got := string(b.state["routes/before"].Value); got != fmt.Sprint(round) {
			t.Fatalf("round %d: lost the change before the stop: %s", round, got)
		}
	}
	if b.fulls != 1 {
		t.Fatalf("%d full reads: a restart needs none", b.fulls)
	}
	if st := e.Status(); st.Reconnects < 2 || !st.Synced {
		t.Fatalf("%+v", st)
	}
}

func TestBrokenConnectionsLoseNoChange(t *testing.T) {
	s := ownServer(t, t.TempDir(), "")
	proxy := newCutter(t, s.Addr())
	c := direct(t, "http://"+s.Addr())
	cfg := store.EtcdConfig{Hosts: []string{"http://" + proxy.addr()}, ResyncDelay: 20 * time.Millisecond}
	cfg.SetPace(10*time.Millisecond, 0)
	e := newEtcd(t, cfg)
	// One object per change: every single one must arrive, not only the last.
	b := follow(t, e)
	b.next()
	const n = 600
	for i := range n {
		putDirect(t, c, fmt.Sprintf("/apisix/routes/%d", i), fmt.Sprint(i))
		if i%60 == 30 {
			proxy.cut()
			proxy.restore()
		}
	}
	b.until("every change", func() bool { return len(b.state) == n })
	if b.fulls != 1 {
		t.Fatalf("%d full reads", b.fulls)
	}
}

func TestSilentPeerIsNoticed(t *testing.T) {
	s := ownServer(t, t.TempDir(), "")
	proxy := newCutter(t, s.Addr())
	cfg := store.EtcdConfig{Hosts: []string{"http://" + proxy.addr()}, ResyncDelay: 20 * time.Millisecond,
		WatchTimeout: 100 * time.Millisecond, HealthCheckTimeout: 200 * time.Millisecond, Timeout: 300 * time.Millisecond}
	cfg.SetPace(20*time.Millisecond, 0)
	e := newEtcd(t, cfg)
	b := follow(t, e)
	b.next()
	eventually(t, "the watch", func() bool { return e.Status().Synced })
	proxy.freeze()
	eventually(t, "noticing the silence", func() bool { return !e.Status().Synced })
	proxy.cut()
	proxy.restore()
	putDirect(t, direct(t, "http://"+s.Addr()), "/apisix/routes/1", "{}")
	b.until("the change", func() bool { return len(b.state) == 1 })
}

func TestSecondHostTakesOver(t *testing.T) {
	s := ownServer(t, t.TempDir(), "")
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := dead.Addr().String()
	_ = dead.Close()
	e := newEtcd(t, store.EtcdConfig{Hosts: []string{"http://" + addr, "http://" + s.Addr()}})
	if err := e.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	follow(t, e).next()
	eventually(t, "the state of both endpoints", func() bool {
		eps := e.Status().Endpoints
		return !eps[0].Reachable && strings.Contains(eps[0].Error, "connection refused") && eps[1].Reachable && eps[1].Version != ""
	})
}
