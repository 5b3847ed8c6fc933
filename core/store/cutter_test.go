package store_test

import (
	"net"
	"sync"
	"testing"
)

// cutter is a TCP proxy whose connections a test can break or freeze.
type cutter struct {
	t      testing.TB
	target string

	mu     sync.Mutex
	l      net.Listener
	where  string
	conns  map[net.Conn]bool
	frozen chan struct{}
	wg     sync.WaitGroup
}

func newCutter(t testing.TB, target string) *cutter {
	t.Helper()
	c := &cutter{t: t, target: target, where: "127.0.0.1:0", conns: make(map[net.Conn]bool)}
	c.restore()
	t.Cleanup(func() {
		c.cut()
		c.wg.Wait()
	})
	return c
}

func (c *cutter) addr() string { return c.where }

// restore listens again, at the same address.
func (c *cutter) restore() {
	l, err := net.Listen("tcp", c.where)
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.l, c.where, c.frozen = l, l.Addr().String(), nil
	c.mu.Unlock()
	c.wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.carry(in) })
		}
	})
}

func (c *cutter) carry(in net.Conn) {
	out, err := net.Dial("tcp", c.target)
	if err != nil {
		_ = in.Close()
		return
	}
	c.mu.Lock()
	c.conns[in], c.conns[out] = true, true
	c.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { c.copy(out, in) })
	both.Go(func() { c.copy(in, out) })
	both.Wait()
	c.mu.Lock()
	delete(c.conns, in)
	delete(c.conns, out)
	c.mu.Unlock()
}

func (c *cutter) copy(dst, src net.Conn) {
	defer func() { _, _ = dst.Close(), src.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		c.mu.Lock()
		frozen := c.frozen
		c.mu.Unlock()
		if frozen != nil {
			<-frozen
			return
		}
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// freeze stops forwarding without closing anything.
func (c *cutter) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = make(chan struct{})
}

// cut closes every connection and refuses new ones.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.l.Close()
	if c.frozen != nil {
		close(c.frozen)
		c.frozen = nil
	}
	for conn := range c.conns {
		_ = conn.Close()
	}
}
