package loop

import (
	"fmt"
	"net/netip"
	"testing"
)

// BenchmarkPingPong lets connections send a message to and fro between two
// ends on one loop: what a message costs, the kernel's part included.
func BenchmarkPingPong(b *testing.B) {
	for _, engine := range []string{EngineEpoll, EngineUring} {
		for _, conns := range []int{1, 64} {
			for _, size := range []int{300, 1200, 17_000} {
				b.Run(fmt.Sprintf("%s/conns=%d/size=%d", engine, conns, size), func(b *testing.B) { pingPong(b, engine, conns, size) })
			}
		}
	}
}

// player sends back each message that is complete.
type player struct {
	size, have int
	left       *int
	done       chan struct{}
}

func (p *player) Expired(*Conn) {}

func (p *player) Ready(c *Conn) {
	b := c.Loop().GetBuf()
	n, err := c.TryRecv(b)
	p.have += n
	if err != nil {
		c.Close()
	} else if p.have >= p.size {
		p.have -= p.size
		if *p.left--; *p.left >= 0 {
			b.Reset()
			b.Extend(p.size)
			_, _ = c.TrySend(b.Bytes())
		} else if *p.left == -1 {
			close(p.done)
		}
	}
	c.Loop().PutBuf(b)
}

func pingPong(b *testing.B, engine string, conns, size int) {
	l, err := New(Config{CPU: 0, Engine: engine})
	if err != nil {
		b.Skip(err)
	}
	go l.Run()
	defer func() { l.Stop(); <-l.Stopped() }()
	left, done := b.N, make(chan struct{})
	addr := listen(b, l, func(fd int, _ netip.AddrPort) {
		if err := new(Conn).Init(l, fd, &player{size: size, left: &left, done: done}); err != nil {
			b.Error(err)
		}
	})
	open := make([]Conn, conns)
	do(b, l, func(t *Task) {
		for i := range open {
			if err := l.Dial(t, &open[i], addr, 0); err != nil {
				b.Fatal(err)
			}
			open[i].SetHandler(&player{size: size, left: &left, done: done})
		}
	})
	b.ReportAllocs()
	b.ResetTimer()
	l.Post(func() {
		for i := range open {
			_, _ = open[i].TrySend(make([]byte, size))
		}
	})
	<-done
}
