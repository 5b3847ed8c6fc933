// Package embedded runs the real etcd server inside our process, for hosts
// that have no etcd cluster of their own.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"
)

// Config describes the embedded server. The zero value is usable.
type Config struct {
	// Dir is the data directory; default "./data/etcd". It is created with
	// mode 0700 when missing.
	Dir string
	// Listen is the TCP address for etcdctl and other nodes, host:port with
	// an IP address; default "127.0.0.1:2379". "off" leaves only the unix
	// socket. Port 0 takes a free port.
	Listen string
	// Socket is the path of the unix socket that the gateway itself uses;
	// default "etcd.sock" in Dir. "off" leaves only TCP.
	Socket string
	// QuotaBytes bounds the database; default 2 GiB, at most 8 GiB. Beyond it
	// etcd refuses writes until it is compacted.
	QuotaBytes int64
	// KeepRevisions is the history kept by automatic compaction; default
	// 10000. Watchers further behind read everything again.
	KeepRevisions int
	// NoFsync leaves the log's syncs to the kernel: a power cut loses the last
	// seconds and may damage the database. For tests and throw-away data.
	// The default syncs the log before a write is answered, one sync for all
	// writes that wait at that moment (group commit).
	NoFsync bool
	// ReadyTimeout bounds the start; default 30 s.
	ReadyTimeout time.Duration
	// Log takes the server's messages: its info level becomes our debug.
	// Default slog.Default().
	Log *slog.Logger
}

const (
	// DefaultListen is etcd's own default client address.
	DefaultListen = "127.0.0.1:2379"
	// DefaultDir is the default data directory.
	DefaultDir = "./data/etcd"
	// MaxTxnOps is the server's limit of operations in a transaction.
	MaxTxnOps = 4096

	off = "off"
	// A request may be a little larger than the Admin API's body limit of
	// 1.5 MiB, since the stored form carries more than was sent.
	maxRequestBytes = 8 << 20
	// sun_path holds 108 bytes with its terminating zero.
	maxSocketPath = 107
)

// Embedded is a running server.
type Embedded struct {
	etcd      *embed.Etcd
	endpoints []string
	tcp       string
	closeOnce sync.Once

	mu      sync.Mutex
	servers []*grpc.Server
}

// Start runs the server and waits until it serves. The error names the port
// or the directory that is in the way.
func Start(ctx context.Context, cfg Config) (*Embedded, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Dir == "" {
		cfg.Dir = DefaultDir
	}
	if cfg.ReadyTimeout <= 0 {
		cfg.ReadyTimeout = 30 * time.Second
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded etcd: data directory %s: %w", cfg.Dir, err)
	}
	cfg.Dir = dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded etcd: cannot create the data directory: %w; choose a writable one", err)
	}
	if err := checkDatabase(dir); err != nil {
		return nil, err
	}
	ec, err := serverConfig(&cfg)
	if err != nil {
		return nil, err
	}
	e := &Embedded{}
	ec.ServiceRegister = func(s *grpc.Server) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.servers = append(e.servers, s)
	}

	ctx, cancel := context.WithTimeout(ctx, cfg.ReadyTimeout)
	defer cancel()
	type started struct {
		etcd *embed.Etcd
		err  error
	}
	// Opening the database can wait without limit on a lock or a slow disk;
	// therefore it has a goroutine of its own, which cleans up behind itself
	// when we stopped waiting.
	ch := make(chan started)
	go func() {
		var s started
		s.etcd, s.err = startRecovered(ec)
		select {
		case ch <- s:
		case <-ctx.Done():
			if s.err == nil {
				s.etcd.Close()
			}
		}
	}()
	select {
	case s := <-ch:
		if s.err != nil {
			return nil, explainStart(cfg, s.err)
		}
		e.etcd = s.etcd
	case <-ctx.Done():
		return nil, fmt.Errorf("embedded etcd: data in %s was not opened within %v: %w; is the disk very slow, or another process using it?", dir, cfg.ReadyTimeout, ctx.Err())
	}
	select {
	case <-e.etcd.Server.ReadyNotify():
	case err := <-e.etcd.Err():
		e.Close()
		return nil, explainStart(cfg, err)
	case <-e.etcd.Server.StopNotify():
		e.Close()
		return nil, fmt.Errorf("embedded etcd: stopped while starting on %s; see the log lines above", dir)
	case <-ctx.Done():
		e.Close()
		return nil, fmt.Errorf("embedded etcd: not ready within %v: %w", cfg.ReadyTimeout, ctx.Err())
	}
	e.setEndpoints(cfg)
	cfg.Log.Info("embedded etcd serves", "endpoints", strings.Join(e.endpoints, ","), "data", dir, "fsync", !cfg.NoFsync)
	return e, nil
}

// Endpoints are the URLs to connect to, the cheapest first.
func (e *Embedded) Endpoints() []string { return e.endpoints }

// Addr is the TCP address with the port in use, "" without one.
func (e *Embedded) Addr() string { return e.tcp }

// Done is closed when the server stopped, by Close or by a fault of its own.
func (e *Embedded) Done() <-chan struct{} { return e.etcd.Server.StopNotify() }

// Close stops the server and waits for its goroutines. The data is complete
// on the disk afterwards. Calls that are open get one second to end; watches
// never do by themselves.
func (e *Embedded) Close() {
	e.closeOnce.Do(func() {
		t := time.AfterFunc(time.Second, e.cut)
		defer t.Stop()
		e.etcd.Close()
	})
}

// Stop is Close without the wait for open calls.
func (e *Embedded) Stop() {
	e.closeOnce.Do(func() {
		e.cut()
		e.etcd.Close()
	})
}

// cut breaks every client connection. Without it the server would wait 7 s
// for each watch somebody left open.
func (e *Embedded) cut() {
	e.mu.Lock()
	servers := e.servers
	e.mu.Unlock()
	for _, s := range servers {
		s.Stop()
	}
}

func (e *Embedded) setEndpoints(cfg Config) {
	for _, l := range e.etcd.Clients {
		switch a := l.Addr().(type) {
		case *net.TCPAddr:
			e.tcp = a.String()
		case *net.UnixAddr:
			e.endpoints = append(e.endpoints, "unix://"+cfg.Socket)
		}
	}
	if e.tcp != "" {
		e.endpoints = append(e.endpoints, "http://"+e.tcp)
	}
}

func startRecovered(ec *embed.Config) (etcd *embed.Etcd, err error) {
	// The server answers damaged data with panics; at the start they are an
	// error like any other.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the server gave up: %v", r)
		}
	}()
	return embed.StartEtcd(ec)
}

func explainStart(cfg Config, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), "address already in use") {
		return fmt.Errorf("embedded etcd: %s is in use by another process (an etcd service?): stop it, "+
			"give the embedded server another address, or set deployment.etcd.host to use the running etcd: %w", cfg.Listen, err)
	}
	return fmt.Errorf("embedded etcd: cannot start on %s: %w", cfg.Dir, err)
}

// checkDatabase refuses a database that another process holds or that is no
// database. etcd itself would wait for the first in silence and end the
// process on the second.
func checkDatabase(dir string) error {
	path := filepath.Join(dir, "member", "snap", "db")
	if fi, err := os.Stat(path); errors.Is(err, os.ErrNotExist) || err == nil && fi.Size() == 0 {
		return nil
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: 500 * time.Millisecond})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return fmt.Errorf("embedded etcd: the data in %s is in use by another process; stop it or choose another directory", dir)
	}
	if err != nil {
		return fmt.Errorf("embedded etcd: cannot open the database %s: %w; "+
			"restore a backup, or move the directory away to start empty (the last good configuration keeps serving)", path, err)
	}
	return db.Close()
}

// serverConfig translates cfg and fills its defaults in.
func serverConfig(cfg *Config) (*embed.Config, error) {
	ec := embed.NewConfig()
	ec.Name = "gateway"
	ec.Dir = cfg.Dir
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapLogger(cfg.Log))

	var client []url.URL
	switch cfg.Socket {
	case off:
	case "":
		if s := filepath.Join(cfg.Dir, "etcd.sock"); len(s) <= maxSocketPath {
			cfg.Socket = s
		} else {
			cfg.Socket = off
		}
	default:
		s, err := filepath.Abs(cfg.Socket)
		if err != nil || len(s) > maxSocketPath {
			return nil, fmt.Errorf("embedded etcd: socket path %s is longer than %d bytes; choose a shorter one", cfg.Socket, maxSocketPath)
		}
		cfg.Socket = s
	}
	if cfg.Socket != off {
		client = append(client, url.URL{Scheme: "unix", Path: cfg.Socket})
	}
	if cfg.Listen == "" {
		cfg.Listen = DefaultListen
	}
	if cfg.Listen != off {
		host, _, err := net.SplitHostPort(cfg.Listen)
		if err != nil || net.ParseIP(host) == nil {
			return nil, fmt.Errorf("embedded etcd: listen address %q is not an IP address and a port, such as %s", cfg.Listen, DefaultListen)
		}
		client = append(client, url.URL{Scheme: "http", Host: cfg.Listen})
	}
	if len(client) == 0 {
		return nil, errors.New("embedded etcd: neither a socket nor a listen address is left; set one of them")
	}
	ec.ListenClientUrls, ec.AdvertiseClientUrls = client, client

	// A single member never talks to peers: nothing listens for them, the URL
	// is only its name in the membership.
	ec.ListenPeerUrls = nil
	ec.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:2380"}}
	ec.InitialCluster = ec.InitialClusterFromName(ec.Name)
	// A fresh directory becomes a cluster with an id of its own, by which
	// readers notice that it is not the one they knew.
	ec.InitialClusterToken = fmt.Sprintf("gateway-%d-%d", time.Now().UnixNano(), os.Getpid())

	ec.AutoCompactionMode = embed.CompactorModeRevision
	ec.AutoCompactionRetention = fmt.Sprint(orDefault(cfg.KeepRevisions, 10000))
	ec.QuotaBackendBytes = orDefault(cfg.QuotaBytes, 2<<30)
	// The log kept for slow peers is of no use to a single member and costs
	// memory: entries stay in memory until a snapshot.
	ec.SnapshotCount = 5000
	ec.SnapshotCatchUpEntries = 100
	ec.MaxSnapFiles, ec.MaxWalFiles = 2, 2
	ec.MaxTxnOps = MaxTxnOps
	ec.MaxRequestBytes = maxRequestBytes
	ec.UnsafeNoFsync = cfg.NoFsync
	ec.WatchProgressNotifyInterval = 10 * time.Second
	// Keepalives of our own client come every 10 s at most.
	ec.GRPCKeepAliveMinTime = 2 * time.Second
	ec.BootstrapDefragThresholdMegabytes = 128
	ec.LogLevel = "info"
	return ec, nil
}

func orDefault[T int | int64](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}
