package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// unavailable wraps an error of the client with what was tried and what the
// operator can do.
func unavailable(action string, err error) error {
	var u *UnavailableError
	if errors.As(err, &u) {
		return err
	}
	text, hint := explain(err)
	return &UnavailableError{Action: action, Status: text, Hint: hint, Err: err}
}

// hints maps parts of etcd's and the network's error texts to remedies; the
// first that occurs counts.
var hints = []struct{ part, hint string }{
	{"authentication failed", "check deployment.etcd.user and password"},
	{"user name is empty", "the server demands a login: set deployment.etcd.user and password"},
	{"user name not found", "check deployment.etcd.user and password"},
	{"invalid auth token", "check deployment.etcd.user and password"},
	{"permission denied", "give the user's role read and write permission on the prefix"},
	{"database space exceeded", "compact and defragment etcd, raise its quota if need be, then run: etcdctl alarm disarm"},
	{"no leader", "more than half of the etcd members must be up and reach each other"},
	{"does not look like a TLS handshake", "the endpoint speaks plain HTTP: use http:// in deployment.etcd.host"},
	{"server gave HTTP response", "the endpoint speaks plain HTTP: use http:// in deployment.etcd.host"},
	{"handshake failed: EOF", "the endpoint does not speak TLS, it seems: use http:// in deployment.etcd.host"},
	{"certificate required", "the server demands a client certificate: set deployment.etcd.tls.cert and key"},
	{"bad certificate", "the server refused our certificate: check deployment.etcd.tls.cert and key"},
	{"x509:", "check the CA certificates and deployment.etcd.tls (sni, verify)"},
	{"tls:", "check deployment.etcd.tls"},
	{"no such host", "the name does not resolve: check deployment.etcd.host and the DNS"},
	{"connection refused", "is etcd running there? check deployment.etcd.host"},
	{"no such file or directory", "is etcd running there? check deployment.etcd.host"},
	{"error reading server preface", "the endpoint closes our connections: is it etcd, and is http:// or https:// right?"},
	{"connection reset", "the endpoint closes our connections: is it etcd, and is http:// or https:// right?"},
	{"deadline exceeded", "is the endpoint reachable and etcd healthy? deployment.etcd.timeout bounds the wait"},
	{"too many operations", "split the change, or raise etcd's --max-txn-ops"},
	{"request is too large", "the object exceeds etcd's --max-request-bytes"},
	{"duplicate key", "one transaction may touch an object only once"},
}

// explain returns the store's own words without gRPC's wrapping, and a remedy.
func explain(err error) (text, hint string) {
	var re rpctypes.EtcdError
	switch {
	case errors.As(err, &re):
		text = re.Error()
	case errors.Is(err, context.DeadlineExceeded):
		text = "no answer in time (context deadline exceeded)"
	default:
		text = err.Error()
		if s, ok := status.FromError(err); ok {
			text = s.Message()
		}
	}
	// gRPC nests the cause of a failed dial: connection error: desc = "...".
	if i := strings.Index(text, "desc = \""); i >= 0 {
		text = strings.TrimSuffix(text[i+len("desc = \""):], "\"")
	}
	for _, h := range hints {
		if strings.Contains(text, h.part) {
			return text, h.hint
		}
	}
	return text, ""
}

// isCompacted tells that the revision asked for is no longer in the store.
func isCompacted(err error) bool {
	return errors.Is(err, rpctypes.ErrCompacted) || err != nil && strings.Contains(err.Error(), "required revision has been compacted")
}

// isFutureRev tells that the revision asked for was never reached there.
func isFutureRev(err error) bool {
	return errors.Is(err, rpctypes.ErrFutureRev) || err != nil && strings.Contains(err.Error(), "required revision is a future revision")
}

// isAnswer tells whether an error is the word of a working server, such as the
// demand for a login, rather than the lack of one.
func isAnswer(err error) bool {
	var re rpctypes.EtcdError
	return errors.As(err, &re) && re.Code() != codes.Unavailable
}

// endpointError puts the endpoint in front of an error.
func endpointError(endpoint string, err error) string {
	text, hint := explain(err)
	if hint != "" {
		return fmt.Sprintf("%s: %s (%s)", endpoint, text, hint)
	}
	return endpoint + ": " + text
}
