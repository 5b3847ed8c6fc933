// Package httpd is the shell that the gateway's own small HTTP servers stand
// in: sockets, limits, time limits, panic recovery and a graceful end.
package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// Defaults of Options.
const (
	DefaultReadTimeout  = 30 * time.Second
	DefaultWriteTimeout = 30 * time.Second
	DefaultIdleTimeout  = 75 * time.Second
	DefaultMaxConns     = 1024
	DefaultBodyLimit    = 64 << 10
	headerLimit         = 16 << 10
)

// Options describes one server. Handler, Name and either Addresses or
// Listeners are required.
type Options struct {
	// Name appears in logs and errors ("Admin API").
	Name string
	// Setting names the configuration key behind Addresses, for the error
	// that tells the operator what to change.
	Setting string
	// Addresses are "host:port" or "unix:/path" texts, each bound once.
	Addresses []string
	// Listeners are used in place of Addresses when a predecessor handed its
	// sockets over. The server closes them.
	Listeners []net.Listener
	// Handler answers requests. It may keep nothing of the context.
	Handler fasthttp.RequestHandler
	// TLS, when set, makes every listener an HTTPS one.
	TLS *tls.Config
	// ReadTimeout bounds reading one request, body included (default 30 s).
	ReadTimeout time.Duration
	// WriteTimeout bounds writing one answer (default 30 s).
	WriteTimeout time.Duration
	// IdleTimeout closes a kept-alive connection without requests (75 s).
	IdleTimeout time.Duration
	// MaxConns bounds open connections over all listeners; a further one is
	// answered 503 and closed (default 1024).
	MaxConns int
	// BodyLimit bounds the part of a request body that is read ahead, in
	// bytes (default 64 KiB). With StreamBody the handler sees the rest as a
	// stream and must bound it itself; without, a longer body gets 413.
	BodyLimit int
	// StreamBody hands the handler bodies longer than BodyLimit as a stream.
	StreamBody bool
	// ServerHeader is the value of the Server header; empty leaves it out.
	ServerHeader string
	// Log receives start, stop and panics (default slog.Default()).
	Log *slog.Logger
}

// Server is a bound server. Its sockets are open from Listen on, so that a
// client that connects before Serve waits instead of being refused.
type Server struct {
	name      string
	log       *slog.Logger
	srv       *fasthttp.Server
	listeners []net.Listener
	wg        sync.WaitGroup
	failed    chan error
}

// Listen binds every address and returns the server without serving yet. The
// error names the address, the reason and the setting to change; nothing
// stays bound then.
func Listen(o Options) (*Server, error) {
	if o.Handler == nil || o.Name == "" {
		panic("BUG: httpd.Listen without handler or name")
	}
	fill(&o)
	s := &Server{
		name:   o.Name,
		log:    o.Log,
		srv:    newServer(&o),
		failed: make(chan error, len(o.Addresses)+len(o.Listeners)),
	}
	listeners := o.Listeners
	if len(listeners) == 0 {
		for _, address := range o.Addresses {
			l, err := bind(address)
			if err != nil {
				closeAll(listeners)
				return nil, explain(&o, address, err)
			}
			listeners = append(listeners, l)
		}
	}
	if len(listeners) == 0 {
		return nil, fmt.Errorf("%s: no address to listen on: set %s", o.Name, o.Setting)
	}
	for _, l := range listeners {
		if o.TLS != nil {
			l = tls.NewListener(l, o.TLS)
		}
		s.listeners = append(s.listeners, l)
	}
	return s, nil
}

func fill(o *Options) {
	if o.ReadTimeout <= 0 {
		o.ReadTimeout = DefaultReadTimeout
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = DefaultWriteTimeout
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = DefaultIdleTimeout
	}
	if o.MaxConns <= 0 {
		o.MaxConns = DefaultMaxConns
	}
	if o.BodyLimit <= 0 {
		o.BodyLimit = DefaultBodyLimit
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

func newServer(o *Options) *fasthttp.Server {
	return &fasthttp.Server{
		Handler:            recovering(o.Name, o.Log, o.Handler),
		ErrorHandler:       answerBroken,
		Name:               o.ServerHeader,
		Concurrency:        o.MaxConns,
		ReadBufferSize:     headerLimit,
		ReadTimeout:        o.ReadTimeout,
		WriteTimeout:       o.WriteTimeout,
		IdleTimeout:        o.IdleTimeout,
		MaxRequestBodySize: o.BodyLimit,
		StreamRequestBody:  o.StreamBody,
		TCPKeepalive:       true,
		CloseOnShutdown:    true,
		// Multipart bodies have no meaning on these servers, and parsing them
		// ahead would bypass the body limit.
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		SecureErrorLogMessage:        true,
		Logger:                       quiet{o.Log},
	}
}

// answerBroken answers what never became a request.
func answerBroken(ctx *fasthttp.RequestCtx, err error) {
	status, text := fasthttp.StatusBadRequest, "malformed HTTP request"
	var timeout net.Error
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		status, text = fasthttp.StatusRequestEntityTooLarge, "request body too large"
	case errors.As(err, &small):
		status, text = fasthttp.StatusRequestHeaderFieldsTooLarge, "request header too large"
	case errors.As(err, &timeout) && timeout.Timeout():
		status, text = fasthttp.StatusRequestTimeout, "request not received in time"
	}
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.SetBodyString("{\"error_msg\":\"" + text + "\"}\n")
}

// quiet keeps fasthttp's own lines (broken clients, mostly) at debug level.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(format string, args ...any) {
	q.log.Debug(fmt.Sprintf(format, args...))
}

func recovering(name string, log *slog.Logger, next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		defer func() {
			if p := recover(); p != nil {
				log.Error("request handler panicked", "server", name, "method", string(ctx.Method()),
					"path", string(ctx.Path()), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				ctx.Response.Reset()
				ctx.SetStatusCode(fasthttp.StatusInternalServerError)
				ctx.SetContentType("application/json")
				ctx.SetBodyString("{\"error_msg\":\"internal error, see the gateway's log\"}\n")
			}
		}()
		next(ctx)
	}
}

func bind(address string) (net.Listener, error) {
	if path, ok := unixPath(address); ok {
		return net.Listen("unix", path)
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, err
	}
	return net.Listen("tcp", address)
}

func unixPath(address string) (string, bool) {
	const prefix = "unix:"
	if len(address) > len(prefix) && address[:len(prefix)] == prefix {
		return address[len(prefix):], true
	}
	return "", false
}

func explain(o *Options, address string, err error) error {
	setting := o.Setting
	if setting == "" {
		setting = "its address"
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: address %s is already in use: stop the process that listens there (ss -ltnp shows it) or change %s: %w",
			o.Name, address, setting, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: no permission to listen on %s: use a port above 1023 or grant CAP_NET_BIND_SERVICE (setting: %s): %w",
			o.Name, address, setting, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: %s is no address of this host: change %s: %w", o.Name, address, setting, err)
	}
	return fmt.Errorf("%s: cannot listen on %s: check %s: %w", o.Name, address, setting, err)
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}

// Addrs returns the bound addresses in the order of Options, with the real
// port where 0 was asked for.
func (s *Server) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(s.listeners))
	for i, l := range s.listeners {
		addrs[i] = l.Addr()
	}
	return addrs
}

// Serve starts one accepting goroutine per listener and returns. An accept
// loop that ends by itself is logged and reported on Failed.
func (s *Server) Serve() {
	for _, l := range s.listeners {
		s.wg.Go(func() {
			s.log.Info("listening", "server", s.name, "address", l.Addr().String())
			if err := s.srv.Serve(l); err != nil {
				s.log.Error("server stopped accepting", "server", s.name, "address", l.Addr().String(), "error", err)
				s.failed <- fmt.Errorf("%s on %s: %w", s.name, l.Addr(), err)
			}
		})
	}
}

// Failed reports accept loops that ended with an error.
func (s *Server) Failed() <-chan error { return s.failed }

// Shutdown closes the sockets, lets requests in flight finish until ctx ends
// and returns once every accept loop is gone.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.srv.ShutdownWithContext(ctx)
	closeAll(s.listeners)
	s.wg.Wait()
	if err != nil {
		return fmt.Errorf("%s: requests still running at the end of the grace period: %w", s.name, err)
	}
	return nil
}
