package forwardauth

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// service is the authorization service: the connections to it.
type service struct {
	transport *http.Transport
	timeout   time.Duration
}

func newService(c *config) *service {
	s := &service{timeout: time.Duration(c.Timeout) * time.Millisecond}
	dialer := &net.Dialer{Timeout: s.timeout}
	s.transport = &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: s.timeout,
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: !c.SSLVerify, MinVersion: tls.VersionTLS12},
		MaxIdleConns:        c.KeepalivePool,
		MaxIdleConnsPerHost: c.KeepalivePool,
		IdleConnTimeout:     time.Duration(c.KeepaliveTimeout) * time.Millisecond,
		DisableKeepAlives:   !c.Keepalive,
		DisableCompression:  true, // the answer goes to the client as it is
		// Proxy stays nil: the environment does not decide where credentials go.
	}
	return s
}

func (s *service) close() { s.transport.CloseIdleConnections() }

// answer is what the service said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// maxAnswer is the longest body that a refusal of the service may have.
const maxAnswer = 1 << 20

var errAnswer = errors.New("the service's answer is longer than 1 MiB")

// ask sends a question and waits for the answer, not longer than the timeout.
// Redirections are answers like others.
func (s *service) ask(q *http.Request) (answer, error) {
	if u, ok := q.Body.(*upload); ok {
		defer func() { <-u.closed }()
	}
	c := http.Client{
		Transport: s.transport, Timeout: s.timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := c.Do(q)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if a.status < 300 {
		return a, nil // its body is of no interest
	}
	if err != nil {
		return answer{}, err
	}
	if len(body) > maxAnswer {
		return answer{}, errAnswer
	}
	a.body = body
	return a, nil
}

// question makes the request for the service. It holds nothing of ctx's memory
// but the body, which stays where it is until the request ends.
func (p *plugin) question(ctx *req.Ctx) *http.Request {
	uri := *p.uri
	h := http.Header{}
	q := &http.Request{
		Method: p.method, URL: &uri, Host: uri.Host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	scheme := "http"
	if ctx.TLS {
		scheme = "https"
	}
	set := func(name, value string) { h[http.CanonicalHeaderKey(name)] = []string{value} }
	set("X-Forwarded-Proto", scheme)
	set("X-Forwarded-Method", string(ctx.Req.Method()))
	set("X-Forwarded-Host", string(ctx.Host))
	set("X-Forwarded-Uri", string(ctx.Req.Target()))
	set("X-Forwarded-For", ctx.Client.String())
	if p.method == http.MethodPost {
		q.ContentLength = int64(len(ctx.Body))
		q.Body = http.NoBody
		if ctx.BodyState == req.BodyBuffered && len(ctx.Body) > 0 {
			q.Body = newUpload(ctx.Body)
		}
		if v := ctx.Req.GetID(h1.ContentEncoding); v != nil {
			set("Content-Encoding", string(v))
		}
	}
	for i := range p.extra {
		ctx.ValueBuf, _ = p.extra[i].value.AppendTo(ctx.ValueBuf[:0], ctx)
		set(p.extra[i].name, clean(ctx.ValueBuf))
	}
	for _, name := range p.request {
		copyField(ctx, q, name)
	}
	if h.Get("User-Agent") == "" {
		h["User-Agent"] = nil // none, and not that of the library
	}
	return q
}

// copyField passes a field of the client on, unless the gateway itself says
// something under that name.
func copyField(ctx *req.Ctx, q *http.Request, name string) {
	key := http.CanonicalHeaderKey(name)
	if key == "Host" {
		q.Host = string(ctx.Req.GetID(h1.Host))
		return
	}
	h := q.Header
	if _, taken := h[key]; taken || unsent[key] {
		return
	}
	for i := range ctx.Req.Len() {
		if bytes.EqualFold(ctx.Req.Name(i), []byte(name)) {
			h[key] = append(h[key], string(ctx.Req.Value(i)))
		}
	}
}

// unsent are fields of the connection to the client, which say nothing of the
// one to the service.
var unsent = map[string]bool{
	"Content-Length": true, "Transfer-Encoding": true, "Connection": true, "Upgrade": true,
	"Te": true, "Trailer": true, "Expect": true, "Keep-Alive": true,
}

// clean copies a value that variables were put into; what may not stand in a
// field becomes a blank.
func clean(value []byte) string {
	out := bytes.Clone(value)
	for i, c := range out {
		if c < ' ' && c != '\t' || c == 0x7f {
			out[i] = ' '
		}
	}
	return string(out)
}

// upload is a request body in ctx's memory. The library may still read it after
// the answer came; ask waits until it says that it does not.
type upload struct {
	bytes.Reader
	once   sync.Once
	closed chan struct{}
}

func newUpload(b []byte) *upload {
	u := &upload{closed: make(chan struct{})}
	u.Reset(b)
	return u
}

// Close implements io.Closer.
func (u *upload) Close() error {
	u.once.Do(func() { close(u.closed) })
	return nil
}
