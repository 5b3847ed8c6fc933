package store_test

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
)

// logBuffer is a log that tests read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// wiped starts a gateway's client, fills the store, wipes the data directory
// and starts the server again at the same address with fewer changes.
func wiped(t *testing.T, cfg store.EtcdConfig) (*store.Etcd, *batches, string) {
	t.Helper()
	dir := t.TempDir()
	s := ownServer(t, dir, "")
	addr := s.Addr()
	cfg.Hosts = []string{"http://" + addr}
	cfg.ResyncDelay = 50 * time.Millisecond
	e := newEtcd(t, cfg)
	b := follow(t, e)
	b.next()
	c := direct(t, "http://"+addr)
	var last int64
	for range 20 {
		last = putDirect(t, c, "/apisix/routes/1", `{"uri":"/old"}`)
	}
	b.until("the old state", func() bool { return b.rev == last })
	s.Stop()
	if err := os.RemoveAll(dir + "/member"); err != nil {
		t.Fatal(err)
	}
	ownServer(t, dir, addr)
	return e, b, addr
}

func TestWipedStoreDoesNotEmptyTheGateway(t *testing.T) {
	var log logBuffer
	asked := make(chan store.Regress, 16)
	e, b, addr := wiped(t, store.EtcdConfig{Log: log.logger(), OnRegress: func(r store.Regress) bool { asked <- r; return false }})
	r := <-asked
	if r.OldRev < 20 || r.NewRev >= r.OldRev || r.OldCluster == r.NewCluster || r.Reason == "" {
		t.Fatalf("%+v", r)
	}
	c := direct(t, "http://"+addr)
	putDirect(t, c, "/apisix/routes/2", `{"uri":"/new"}`)
	eventually(t, "the alarm in the status", func() bool { return e.Status().Regress != nil })
	st := e.Status()
	if st.Synced || !st.Reachable {
		t.Fatalf("%+v", st)
	}
	if len(b.ch) != 0 {
		t.Fatalf("the wiped state was handed on: %+v", <-b.ch)
	}
	if len(b.state) != 1 || !strings.Contains(log.String(), "keeps serving until") {
		t.Fatalf("%v\n%s", b.state, log.String())
	}

	if !e.AcceptRegress() {
		t.Fatal("nothing to accept?")
	}
	b.until("the accepted state", func() bool { return b.fulls == 2 })
	if _, ok := b.state["routes/2"]; !ok || len(b.state) != 1 {
		t.Fatalf("%v", b.state)
	}
	rev := putDirect(t, c, "/apisix/routes/3", `{}`)
	b.until("a change of the new store", func() bool { return len(b.state) == 2 })
	eventually(t, "the end of the alarm", func() bool { s := e.Status(); return s.Regress == nil && s.Synced && s.Rev >= rev })
	if len(asked) != 0 {
		t.Fatalf("one finding was asked about more than once: %+v", <-asked)
	}
	if e.AcceptRegress() {
		t.Fatal("accepted although all is well")
	}
}

func TestWipedStoreIsTakenWhenTheSettingSaysSo(t *testing.T) {
	_, b, _ := wiped(t, store.EtcdConfig{OnRegress: func(store.Regress) bool { return true }})
	b.until("the new state", func() bool { return b.fulls == 2 })
	if len(b.state) != 0 {
		t.Fatalf("%v", b.state)
	}
}

func TestStoreWipedWhileTheGatewayWasDown(t *testing.T) {
	s := ownServer(t, t.TempDir(), "")
	c := direct(t, "http://"+s.Addr())
	putDirect(t, c, "/apisix/routes/1", `{}`)
	f := func(name string, known store.Known, want string) {
		t.Helper()
		asked := make(chan store.Regress, 1)
		e := newEtcd(t, store.EtcdConfig{Hosts: []string{"http://" + s.Addr()}, Known: known,
			OnRegress: func(r store.Regress) bool { asked <- r; return false }})
		b := follow(t, e)
		r := <-asked
		if !strings.Contains(r.Reason, want) {
			t.Errorf("%s: %s", name, r.Reason)
		}
		b.stop()
		if len(b.ch) != 0 {
			t.Errorf("%s: handed on", name)
		}
	}
	f("older", store.Known{Rev: 1 << 30}, "went back from revision")
	f("another cluster", store.Known{Cluster: 1, Rev: 1}, "another etcd cluster")

	// The same store, no alarm.
	e := newEtcd(t, store.EtcdConfig{Hosts: []string{"http://" + s.Addr()}})
	b := follow(t, e)
	b.next()
	b.stop()
	known := e.Known()
	if known.Cluster == 0 || known.Rev == 0 || known.Objects != 1 {
		t.Fatalf("%+v", known)
	}
	e = newEtcd(t, store.EtcdConfig{Hosts: []string{"http://" + s.Addr()}, Known: known})
	if full := follow(t, e).next(); len(full.Objects) != 1 {
		t.Fatalf("%+v", full)
	}
	if _, err := e.Delete(t.Context(), conf.KindRoute, "1"); err != nil {
		t.Fatal(err)
	}
	f("emptied", known, "holds no object")
}

func TestReplacedHistoryAtAHigherRevisionIsNoticed(t *testing.T) {
	dir := t.TempDir()
	s := ownServer(t, dir, "")
	addr := s.Addr()
	proxy := newCutter(t, addr)
	asked := make(chan store.Regress, 16)
	// Same cluster id by luck or by restored settings: only the history differs.
	e := newEtcd(t, store.EtcdConfig{Hosts: []string{"http://" + proxy.addr()}, ResyncDelay: 50 * time.Millisecond,
		OnRegress: func(r store.Regress) bool { asked <- r; return false }})
	b := follow(t, e)
	b.next()
	c := direct(t, "http://"+addr)
	putDirect(t, c, "/apisix/routes/1", `{}`)
	b.until("the route", func() bool { return len(b.state) == 1 })
	proxy.cut()
	s.Stop()
	if err := os.RemoveAll(dir + "/member"); err != nil {
		t.Fatal(err)
	}
	ownServer(t, dir, addr)
	c = direct(t, "http://"+addr)
	for range 30 {
		putDirect(t, c, "/apisix/routes/stranger", `{}`)
	}
	proxy.restore()
	<-asked
	if len(b.ch) != 0 {
		t.Fatalf("a stranger's change was handed on: %+v", <-b.ch)
	}
}

func TestMassDeletionInTheWatchIsTheOperatorsWill(t *testing.T) {
	p := prefixOf(t)
	e := newEtcd(t, store.EtcdConfig{Hosts: sharedServer(t).Endpoints(), Prefix: p,
		OnRegress: func(r store.Regress) bool { t.Errorf("%+v", r); return false }})
	b := follow(t, e)
	b.next()
	for _, id := range []string{"1", "2"} {
		if _, err := e.Put(t.Context(), conf.KindRoute, id, []byte(`{}`), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"1", "2"} {
		if _, err := e.Delete(t.Context(), conf.KindRoute, id); err != nil {
			t.Fatal(err)
		}
	}
	b.until("the deletions", func() bool { return b.rev > 0 && len(b.state) == 0 && b.fulls == 1 && e.Status().Keys == 0 })
}
