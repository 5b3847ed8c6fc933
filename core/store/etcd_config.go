package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
)

// EtcdConfig is deployment.etcd as the client needs it.
type EtcdConfig struct {
	// Hosts are the endpoints: http://, https:// or unix:// URLs, all with or
	// all without TLS; "host:port" means http. At least one.
	Hosts []string
	// Prefix of every key; default "/apisix".
	Prefix string
	// User and Password log in; both or none.
	User, Password string
	// TLS holds certificates; nil takes the system's CAs for https hosts.
	TLS *EtcdTLS
	// Timeout bounds a request; default 30 s.
	Timeout time.Duration
	// WatchTimeout is how long a watch may stay without any word, after one
	// was asked for, before it is opened again elsewhere; default 50 s.
	WatchTimeout time.Duration
	// ResyncDelay is the longest pause between two tries; default 5 s. Pauses
	// start at 200 ms, double, and vary by half.
	ResyncDelay time.Duration
	// HealthCheckTimeout bounds the look at one endpoint; default 10 s.
	HealthCheckTimeout time.Duration
	// StartupRetry is how many more tries Connect makes; default 2, negative
	// for none.
	StartupRetry int
	// MaxTxnOps is the server's --max-txn-ops; default 128, etcd's own.
	MaxTxnOps int
	// Known is what a former run knew of the store; it lets the first read
	// notice that the store was wiped meanwhile.
	Known Known
	// OnRegress decides whether a store that went back is taken; nil refuses.
	// It is called once per finding, from Run's goroutine. A refused state can
	// be accepted later by AcceptRegress.
	OnRegress func(Regress) (accept bool)
	// OnPlugins receives the plugin list that an admin node pushed, nil when
	// it is gone. Called from Run's goroutine; may be nil.
	OnPlugins func(value []byte, rev int64)
	// Log defaults to slog.Default().
	Log *slog.Logger

	// progressEvery is the pause between two questions for the watch's
	// progress, pageKeys the first page's size; tests make them smaller.
	progressEvery time.Duration
	pageKeys      int64
}

// EtcdTLS is deployment.etcd.tls.
type EtcdTLS struct {
	// CertFile and KeyFile are our client certificate; both or none. They are
	// read again with every new connection, so that a renewed certificate
	// needs no restart.
	CertFile, KeyFile string
	// CAFile verifies the server; "" takes the system's CAs.
	CAFile string
	// SkipVerify accepts every server certificate.
	SkipVerify bool
	// ServerName overrides the name that is asked for and verified.
	ServerName string
}

func (c *EtcdConfig) setDefaults() {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&c.Timeout, 30*time.Second)
	def(&c.WatchTimeout, 50*time.Second)
	def(&c.ResyncDelay, 5*time.Second)
	def(&c.HealthCheckTimeout, 10*time.Second)
	def(&c.progressEvery, 10*time.Second)
	if c.StartupRetry == 0 {
		c.StartupRetry = 2
	}
	if c.StartupRetry < 0 {
		c.StartupRetry = 0
	}
	if c.MaxTxnOps <= 0 {
		c.MaxTxnOps = 128
	}
	if c.pageKeys <= 0 {
		c.pageKeys = 512
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.OnRegress == nil {
		c.OnRegress = func(Regress) bool { return false }
	}
	if c.OnPlugins == nil {
		c.OnPlugins = func([]byte, int64) {}
	}
}

// normalize checks the endpoints and brings them into one form.
func (c *EtcdConfig) normalize() error {
	if len(c.Hosts) == 0 {
		return errors.New("etcd: deployment.etcd.host names no endpoint; give at least one, such as http://127.0.0.1:2379")
	}
	if (c.User == "") != (c.Password == "") {
		return errors.New("etcd: deployment.etcd.user and password belong together; set both or none")
	}
	hosts := make([]string, 0, len(c.Hosts))
	secure := 0
	for _, h := range c.Hosts {
		if strings.HasPrefix(h, "unix:") {
			hosts = append(hosts, h)
			continue
		}
		if !strings.Contains(h, "://") {
			h = "http://" + h
		}
		u, err := url.Parse(h)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("etcd: deployment.etcd.host %q is not an http:// or https:// URL with host and port", h)
		}
		if u.Port() == "" {
			u.Host += ":2379"
		}
		if u.Scheme == "https" {
			secure++
		}
		hosts = append(hosts, u.Scheme+"://"+u.Host)
	}
	// The client uses the first endpoint's scheme for all of them; a mixture
	// would send a password in the clear or fail later in an obscure way.
	if secure != 0 && secure != len(hosts) {
		return errors.New("etcd: deployment.etcd.host mixes http and https endpoints; use one scheme for all")
	}
	c.Hosts = hosts
	return nil
}

// clientConfig translates c; secured hosts get TLS even without settings.
func (c *EtcdConfig) clientConfig() (clientv3.Config, error) {
	cc := clientv3.Config{
		Endpoints:            c.Hosts,
		DialTimeout:          min(c.Timeout, c.HealthCheckTimeout),
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 5 * time.Second,
		MaxCallSendMsgSize:   16 << 20,
		MaxUnaryRetries:      8,
		BackoffWaitBetween:   50 * time.Millisecond,
		// Failures surface as errors, which we report with more context.
		Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           grpcbackoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.3, MaxDelay: c.ResyncDelay},
				MinConnectTimeout: 5 * time.Second,
			}),
			grpc.WithChainUnaryInterceptor(failFast),
		},
	}
	if strings.HasPrefix(c.Hosts[0], "https:") {
		t, err := c.TLS.config()
		if err != nil {
			return cc, err
		}
		cc.TLS = t
		if t.ServerName != "" {
			cc.DialOptions = append(cc.DialOptions, grpc.WithTransportCredentials(namedCreds{credentials.NewTLS(t), t.ServerName}))
		}
	} else if c.TLS != nil && c.TLS.CertFile != "" {
		return cc, fmt.Errorf("etcd: deployment.etcd.tls is set but %s is not an https:// URL; use https, or remove tls", c.Hosts[0])
	}
	return cc, nil
}

// namedCreds verify every endpoint against one name: gRPC verifies against
// the endpoint's own host whatever the TLS settings say.
type namedCreds struct {
	credentials.TransportCredentials
	name string
}

// ClientHandshake implements credentials.TransportCredentials.
func (n namedCreds) ClientHandshake(ctx context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return n.TransportCredentials.ClientHandshake(ctx, n.name, conn)
}

// Clone implements credentials.TransportCredentials.
func (n namedCreds) Clone() credentials.TransportCredentials {
	return namedCreds{n.TransportCredentials.Clone(), n.name}
}

// failFast lets a call fail with the cause when no endpoint can be connected
// to. The client would wait out the whole time limit instead and then report
// only that it passed.
func failFast(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(ctx, method, req, reply, cc, append(opts[:len(opts):len(opts)], grpc.WaitForReady(false))...)
}

func (t *EtcdTLS) config() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t == nil {
		return cfg, nil
	}
	cfg.ServerName, cfg.InsecureSkipVerify = t.ServerName, t.SkipVerify
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("etcd: cannot read the CA certificates: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("etcd: %s holds no certificate in PEM form", t.CAFile)
		}
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return nil, errors.New("etcd: deployment.etcd.tls.cert and key belong together; set both or none")
	}
	if t.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("etcd: client certificate %s: %w", t.CertFile, err)
			}
			return &cert, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return cfg, nil
}
