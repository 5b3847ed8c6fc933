package embedded

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func start(t testing.TB, cfg Config) *Embedded {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = quiet()
	}
	e, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func connect(t testing.TB, endpoint string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestServesOnSocketAndPortAndKeepsItsData(t *testing.T) {
	dir := t.TempDir()
	e := start(t, Config{Dir: dir, Listen: "127.0.0.1:0", NoFsync: true})
	if len(e.Endpoints()) != 2 || e.Addr() == "" {
		t.Fatalf("endpoints %v", e.Endpoints())
	}
	var cluster uint64
	for i, ep := range e.Endpoints() {
		c := connect(t, ep)
		resp, err := c.Put(within(t), "/k", string(rune('a'+i)))
		if err != nil {
			t.Fatalf("%s: %v", ep, err)
		}
		cluster = resp.Header.ClusterId
		_ = c.Close()
	}
	e.Close()
	e = start(t, Config{Dir: dir, Listen: "off", NoFsync: true})
	c := connect(t, e.Endpoints()[0])
	resp, err := c.Get(within(t), "/k")
	if err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != "b" {
		t.Fatalf("after the restart: %v %v", resp, err)
	}
	if resp.Header.ClusterId != cluster {
		t.Fatal("the cluster's id changed with a restart")
	}
	_ = c.Close()
}

func TestFreshDirectoryIsAnotherCluster(t *testing.T) {
	var ids [2]uint64
	for i := range ids {
		e := start(t, Config{Dir: t.TempDir(), Listen: "off", NoFsync: true})
		ids[i] = uint64(e.etcd.Server.Cluster().ID())
		e.Close()
	}
	if ids[0] == ids[1] {
		t.Fatal("two fresh stores have one id: a wiped store would go unnoticed")
	}
}

func TestStartErrorsNameTheObstacle(t *testing.T) {
	f := func(name string, cfg Config, want string) {
		t.Helper()
		cfg.Log = quiet()
		e, err := Start(t.Context(), cfg)
		if err == nil {
			e.Close()
			t.Fatalf("%s: started", name)
		}
		if !strings.Contains(err.Error(), want) {
			t.Fatalf("%s: %v, want %q in it", name, err, want)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	f("port in use", Config{Dir: t.TempDir(), Listen: l.Addr().String()}, l.Addr().String()+" is in use by another process")
	f("host name", Config{Dir: t.TempDir(), Listen: "example.org:1"}, "is not an IP address")
	f("nothing to listen on", Config{Dir: t.TempDir(), Listen: "off", Socket: "off"}, "neither a socket")
	f("long socket path", Config{Dir: t.TempDir(), Socket: "/" + strings.Repeat("x", 120)}, "longer than")

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f("data directory is a file", Config{Dir: file, Listen: "off"}, "cannot create the data directory")

	dir := t.TempDir()
	start(t, Config{Dir: dir, Listen: "off", NoFsync: true})
	f("directory in use", Config{Dir: dir, Listen: "off"}, "in use by another process")
}

func TestDamagedDataIsAnError(t *testing.T) {
	dir := t.TempDir()
	start(t, Config{Dir: dir, Listen: "off", NoFsync: true}).Close()
	if err := os.WriteFile(filepath.Join(dir, "member", "snap", "db"), []byte("this is no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := Start(t.Context(), Config{Dir: dir, Listen: "off", Log: quiet(), ReadyTimeout: 5 * time.Second})
	if err == nil {
		e.Close()
		t.Fatal("started on a damaged database")
	}
	if !strings.Contains(err.Error(), dir) {
		t.Fatalf("the error does not name the directory: %v", err)
	}
}

func TestLogsKeepQuietAboutInfo(t *testing.T) {
	var b strings.Builder
	log := slog.New(slog.NewTextHandler(&b, nil))
	z := zapLogger(log)
	z.Info("chatter")
	z.With(zap.String("member", "m1")).Warn("slow disk", zap.Duration("took", time.Second))
	if s := b.String(); strings.Contains(s, "chatter") || !strings.Contains(s, `level=WARN msg="slow disk" part=etcd member=m1 took=1s`) {
		t.Fatalf("log: %s", s)
	}
	if z.Core().Enabled(zap.DebugLevel) {
		t.Fatal("etcd's debug level is on")
	}
	if !log.Enabled(context.Background(), slog.LevelInfo) {
		t.Fatal("the handler lost its level")
	}
}
