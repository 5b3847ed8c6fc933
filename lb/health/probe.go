package health

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sluicegw/sluice/lb/node"
)

// probe is how one node is checked. It is made when configuration arrives and
// is not changed after.
type probe struct {
	kind     Type
	addr     netip.AddrPort
	request  []byte      // of HTTP and HTTPS
	tls      *tls.Config // of HTTPS
	verdicts *verdicts
}

// outcome is what a probe found out.
type outcome struct {
	counts bool // false: neither for nor against the node
	report node.Report
	status int
	reason string
}

func newProbe(n *node.Node, c *Config, v *verdicts, roots *x509.CertPool) *probe {
	a := c.Active
	p := &probe{kind: a.Type, addr: n.Addr, verdicts: v}
	if a.Port != 0 {
		p.addr = netip.AddrPortFrom(n.Addr.Addr(), a.Port)
	}
	if a.Type == TCP {
		return p
	}
	host := probeHost(n, c, p.addr.Port())
	p.request = probeRequest(a, host)
	if a.Type == HTTPS {
		name := host
		if h, _, err := net.SplitHostPort(host); err == nil {
			name = h
		}
		p.tls = &tls.Config{
			ServerName:         strings.Trim(name, "[]"),
			InsecureSkipVerify: !a.VerifyTLS,
			RootCAs:            roots,
			NextProtos:         []string{"http/1.1"},
		}
	}
	return p
}

// probeHost returns the Host that a node is asked for.
func probeHost(n *node.Node, c *Config, port uint16) string {
	switch {
	case c.Active.Host != "":
		return c.Active.Host
	case c.RewriteHost != "":
		return c.RewriteHost
	}
	host := n.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if c.Active.Type == HTTP && port != 80 || c.Active.Type == HTTPS && port != 443 {
		host += ":" + strconv.Itoa(int(port))
	}
	return host
}

func probeRequest(a *Active, host string) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\n", a.Method, a.Path)
	own := map[string]string{
		"host":       host,
		"connection": "close",
		"user-agent": "sluice-health",
	}
	if a.Body != "" {
		own["content-length"] = strconv.Itoa(len(a.Body))
	}
	for _, h := range a.Headers {
		name, _, _ := strings.Cut(h, ":")
		delete(own, strings.ToLower(name))
	}
	for _, name := range []string{"host", "connection", "user-agent", "content-length"} {
		if v, ok := own[name]; ok {
			b = fmt.Appendf(b, "%s: %s\r\n", name, v)
		}
	}
	for _, h := range a.Headers {
		b = append(b, h...)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	return append(b, a.Body...)
}

// run makes the probe. It ends when ctx does.
func (p *probe) run(ctx context.Context) outcome {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.addr.String())
	if err != nil {
		return failure(ctx, "connect", err)
	}
	defer conn.Close()
	if p.kind == TCP {
		return outcome{counts: true, report: node.Success, reason: "connected"}
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return failure(ctx, "connect", err)
		}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if p.tls != nil {
		secure := tls.Client(conn, p.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return failure(ctx, "TLS handshake", err)
		}
		conn = secure
	}
	if _, err := conn.Write(p.request); err != nil {
		return failure(ctx, "send", err)
	}
	status, err := readStatus(bufio.NewReaderSize(conn, 4096))
	if err != nil {
		return failure(ctx, "response", err)
	}
	o := outcome{status: status, reason: fmt.Sprintf("status %d", status)}
	switch p.verdicts.of(status) {
	case good:
		o.counts, o.report = true, node.Success
	case bad:
		o.counts, o.report = true, node.HTTPFailure
	}
	return o
}

func failure(ctx context.Context, stage string, err error) outcome {
	o := outcome{counts: true, report: node.TCPFailure, reason: stage + ": " + err.Error()}
	var timeout net.Error
	switch {
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		// The end of ctx closes the connection, which may show first.
		o.report, o.reason = node.Timeout, stage+": timed out"
	case errors.Is(err, errMalformed):
		o.report = node.HTTPFailure
	}
	return o
}

var errMalformed = errors.New("not an HTTP/1.x response")

const (
	maxHeadBytes = 64 << 10 // of all heads of one probe
	maxInterim   = 8        // 1xx responses before the final one
)

// readStatus reads response heads up to the final one and returns its status.
// Reading the head to its end makes a node that stalls after the status line a
// failure.
func readStatus(r *bufio.Reader) (int, error) {
	read := 0
	line := func() ([]byte, error) {
		b, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, fmt.Errorf("%w: a line of more than %d bytes", errMalformed, r.Size())
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if read += len(b); read > maxHeadBytes {
			return nil, fmt.Errorf("%w: a head of more than %d bytes", errMalformed, maxHeadBytes)
		}
		return b, err
	}
	for range maxInterim + 1 {
		b, err := line()
		if err != nil {
			return 0, err
		}
		status, err := parseStatusLine(b)
		if err != nil {
			return 0, err
		}
		for {
			b, err := line()
			if err != nil {
				return 0, err
			}
			if len(b) == 1 || len(b) == 2 && b[0] == '\r' {
				break
			}
		}
		if status >= 200 {
			return status, nil
		}
		if status == 101 {
			return 0, fmt.Errorf("%w: an upgrade that was not asked for", errMalformed)
		}
	}
	return 0, fmt.Errorf("%w: more than %d interim responses", errMalformed, maxInterim)
}

// parseStatusLine returns the status of a line that ends in LF.
func parseStatusLine(b []byte) (int, error) {
	const version = "HTTP/1."
	if len(b) < len("HTTP/1.1 200\n") || string(b[:len(version)]) != version ||
		b[7] != '0' && b[7] != '1' || b[8] != ' ' {
		return 0, fmt.Errorf("%w: it begins with %q", errMalformed, b[:min(len(b), 32)])
	}
	status := 0
	for _, c := range b[9:12] {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%w: the status is %q", errMalformed, b[9:12])
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 || status > 599 || b[12] != ' ' && b[12] != '\r' && b[12] != '\n' {
		return 0, fmt.Errorf("%w: the status is %q", errMalformed, b[9:13])
	}
	return status, nil
}
