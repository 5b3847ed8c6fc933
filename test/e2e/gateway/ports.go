package gateway

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
)

// Ports are handed out below the kernel's ephemeral range, so that a port
// cannot be taken by somebody's outgoing connection between the moment it is
// chosen and the moment the gateway binds it. Test processes that run side by
// side start at different places.
const (
	firstPort = 14000
	lastPort  = 32000
)

var nextPort atomic.Int64

func init() {
	span := int64(lastPort - firstPort)
	nextPort.Store(int64(os.Getpid()) * 397 % span)
}

// FreePort returns a TCP port of 127.0.0.1 that nobody listens on and that
// this process has not handed out before (until the range is exhausted).
func FreePort(t testing.TB) int {
	t.Helper()
	for range 2000 {
		port := firstPort + int(nextPort.Add(1)%(lastPort-firstPort))
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		ln.Close()
		return port
	}
	t.Fatalf("no free port between %d and %d", firstPort, lastPort)
	return 0
}
