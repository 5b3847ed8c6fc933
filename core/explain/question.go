// Package explain tells what the gateway would do with a request, and why,
// without sending anything.
package explain

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// Question is a request that nobody sends.
type Question struct {
	Method string `json:"method"`
	// URL is absolute ("https://a.com/x?y=1") or begins with a slash; then the
	// host is what Headers say.
	URL string `json:"url"`
	// Headers are lines such as "X-Key: abc".
	Headers []string `json:"headers,omitempty"`
	// Client is the address of the connection's other end; empty: 127.0.0.1.
	Client string `json:"client,omitempty"`
	// Body is looked at where conditions read it.
	Body string `json:"body,omitempty"`
	// Consumer shows what requests of this consumer get. Who a request belongs
	// to is not found out: no plugin is run.
	Consumer string `json:"consumer,omitempty"`
	// Route asks about one route: what keeps it from serving the request.
	Route string `json:"route,omitempty"`
}

// defaultHost is asked for where neither the URL nor a header names a host.
const defaultHost = "localhost"

var (
	errQuestionHead = errors.New("method, URL and headers do not make one request head")
	errQuestionURL  = errors.New(`the URL is absolute, such as "http://example.com/path", or begins with a slash`)
)

// fill makes the context of the request, up to where the gateway has read its
// head. It fails for what is no request at all.
func (q *Question) fill(ctx *req.Ctx, limits *h1.Limits) error {
	host, target, secure, err := splitURL(q.URL)
	if err != nil {
		return err
	}
	client := "127.0.0.1"
	if q.Client != "" {
		client = q.Client
	}
	addr, err := netip.ParseAddr(client)
	if err != nil {
		return fmt.Errorf("client %q is not an IP address", client)
	}
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\n", strings.ToUpper(q.Method), target)
	hasHost, hasLength := false, false
	for _, line := range q.Headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(line, "\r\n") {
			return fmt.Errorf("header %q is not of the form \"Name: value\"", line)
		}
		hasHost = hasHost || strings.EqualFold(name, "host")
		hasLength = hasLength || strings.EqualFold(name, "content-length")
		fmt.Fprintf(&head, "%s: %s\r\n", name, strings.TrimSpace(value))
	}
	if !hasHost {
		if host == "" {
			host = defaultHost
		}
		fmt.Fprintf(&head, "Host: %s\r\n", host)
	}
	if q.Body != "" && !hasLength {
		fmt.Fprintf(&head, "Content-Length: %d\r\n", len(q.Body))
	}
	head.WriteString("\r\n")
	ctx.Reset()
	ctx.Peer = netip.AddrPortFrom(addr, 40000)
	ctx.Local = netip.MustParseAddrPort("127.0.0.1:9080")
	ctx.TLS = secure
	if q.Body != "" {
		ctx.Body, ctx.BodyState = append(ctx.Body, q.Body...), req.BodyBuffered
	}
	n, bad := ctx.Req.Scan([]byte(head.String()), limits)
	if bad != nil {
		return bad
	}
	if n != head.Len() {
		return errQuestionHead
	}
	return nil
}

// splitURL splits the URL as a client would: what follows the host goes into
// the request as it is written.
func splitURL(url string) (host, target string, secure bool, err error) {
	if strings.ContainsAny(url, " \t\r\n") {
		return "", "", false, errQuestionURL
	}
	if strings.HasPrefix(url, "/") {
		return "", url, false, nil
	}
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return "", "", false, errQuestionURL
	}
	switch strings.ToLower(scheme) {
	case "http":
	case "https":
		secure = true
	default:
		return "", "", false, errQuestionURL
	}
	host, target = rest, "/"
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host, target = rest[:i], rest[i:]
	}
	if host == "" {
		return "", "", false, errQuestionURL
	}
	if target, _, _ = strings.Cut(target, "#"); !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	if _, after, ok := strings.Cut(host, "@"); ok {
		host = after
	}
	return host, target, secure, nil
}
