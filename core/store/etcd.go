package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

var (
	_ Provider = (*Etcd)(nil)
	_ KV       = (*Etcd)(nil)
)

// Etcd reads and writes the configuration in an etcd cluster. It is safe for
// concurrent use; Run may be called once.
type Etcd struct {
	cfg    EtcdConfig
	layout Layout
	base   clientv3.Config
	// probe looks at single endpoints; it never logs in.
	probe *clientv3.Client

	// mu guards client and closed. Opening a client with a user waits for the
	// login, therefore opening holds dialMu and not mu. Order: dialMu, mu.
	dialMu sync.Mutex
	mu     sync.Mutex
	client *clientv3.Client
	closed bool
	// loginErr is the newest failure to open the client, at loginAt; both are
	// guarded by dialMu.
	loginErr error
	loginAt  time.Time

	progress etcdProgress
	// rev is the revision up to which everything was handed to the sink,
	// storeRev the newest one seen in any answer.
	rev, storeRev atomic.Int64
	cluster       atomic.Uint64
	objects       atomic.Int64
	// accept carries the operator's word to Run.
	accept chan struct{}
	// nudge asks the watch for its progress.
	nudge   chan struct{}
	noticed noticeOnce
}

// NewEtcd checks the settings and prepares the client. It does not touch the
// network.
func NewEtcd(cfg EtcdConfig) (*Etcd, error) {
	cfg.setDefaults()
	if err := cfg.normalize(); err != nil {
		return nil, err
	}
	base, err := cfg.clientConfig()
	if err != nil {
		return nil, err
	}
	probe, err := clientv3.New(base)
	if err != nil {
		return nil, fmt.Errorf("etcd: %s: %w", strings.Join(cfg.Hosts, ", "), err)
	}
	base.Username, base.Password = cfg.User, cfg.Password
	e := &Etcd{
		cfg:    cfg,
		layout: NewLayout(cfg.Prefix),
		base:   base,
		probe:  probe,
		accept: make(chan struct{}, 1),
		nudge:  make(chan struct{}, 1),
	}
	e.noticed.log = cfg.Log
	e.cluster.Store(cfg.Known.Cluster)
	e.progress.init(cfg.Hosts)
	return e, nil
}

// Layout is the naming of keys in use.
func (e *Etcd) Layout() Layout { return e.layout }

// Known is what a later run needs to notice that the store went back.
func (e *Etcd) Known() Known {
	return Known{Cluster: e.cluster.Load(), Rev: e.rev.Load(), Objects: int(e.objects.Load())}
}

// Close ends all connections; Run must have returned before.
func (e *Etcd) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	err := e.probe.Close()
	if e.client != nil {
		err = errors.Join(err, e.client.Close())
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

var errClosed = errors.New("the client is closed")

// conn returns the client and opens it first if need be, which logs in.
func (e *Etcd) conn(ctx context.Context) (*clientv3.Client, error) {
	if c, err := e.present(); c != nil || err != nil {
		return c, err
	}
	e.dialMu.Lock()
	defer e.dialMu.Unlock()
	if c, err := e.present(); c != nil || err != nil {
		return c, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// Those who waited for a login that failed do not each try again.
	if e.loginErr != nil && time.Since(e.loginAt) < 100*time.Millisecond {
		return nil, e.loginErr
	}
	c, err := clientv3.New(e.base)
	if e.loginErr, e.loginAt = err, time.Now(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		_ = c.Close()
		return nil, errClosed
	}
	e.client = c
	return c, nil
}

func (e *Etcd) present() (*clientv3.Client, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errClosed
	}
	return e.client, nil
}

// Connect tries to reach the store, StartupRetry times again after the first
// failure, with a line in the log for each. An error is no obstacle to Run,
// which goes on trying: the caller decides whether a last good configuration
// serves meanwhile.
func (e *Etcd) Connect(ctx context.Context) error {
	tries := 1 + e.cfg.StartupRetry
	var err error
	for try := 1; try <= tries; try++ {
		if try > 1 {
			if !pause(ctx, backoff(try-2, e.cfg.ResyncDelay)) {
				return ctx.Err()
			}
		}
		if err = e.reach(ctx); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		e.cfg.Log.Warn("etcd is not reachable", "try", try, "of", tries, "error", err)
	}
	return fmt.Errorf("etcd was not reached in %d tries: %w", tries, err)
}

// reach asks the cluster for a consistent answer, and every endpoint for its
// own state when there is none.
func (e *Etcd) reach(ctx context.Context) error {
	c, err := e.conn(ctx)
	if err == nil {
		rctx, cancel := context.WithTimeout(ctx, min(e.cfg.Timeout, e.cfg.HealthCheckTimeout))
		defer cancel()
		var resp *clientv3.GetResponse
		resp, err = c.Get(rctx, e.layout.Raw(genIDKey), clientv3.WithKeysOnly())
		if err == nil {
			e.answered(resp.Header.Revision)
			e.progress.allReachable()
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e.failed(err)
	broken := e.probeEndpoints(ctx)
	if len(broken) == len(e.cfg.Hosts) {
		// No endpoint answers at all: their own errors say more than the
		// summary of the balancer.
		return errors.New(strings.Join(broken, "; "))
	}
	if len(broken) > 0 {
		return fmt.Errorf("%w; %s", unavailable("read from "+strings.Join(e.cfg.Hosts, ", "), err), strings.Join(broken, "; "))
	}
	return unavailable("read from "+strings.Join(e.cfg.Hosts, ", "), err)
}

// answered notes a successful contact.
func (e *Etcd) answered(rev int64) {
	for {
		old := e.storeRev.Load()
		if rev <= old || e.storeRev.CompareAndSwap(old, rev) {
			break
		}
	}
	e.progress.contact(time.Now())
}

// failed notes a fault.
func (e *Etcd) failed(err error) {
	text, _ := explain(err)
	e.progress.fault(text, time.Now())
}
