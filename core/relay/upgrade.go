package relay

import (
	"io"

	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/req"
)

// upgrade passes a 101 on and then moves bytes both ways until both sides are
// done. b holds what the node sent behind the 101.
func (a *attempt) upgrade(b *loop.Buf) failure {
	ctx := a.ctx
	if !ctx.Upgrade {
		// Nobody asked for it (RFC 9110 section 7.8).
		a.r.loop.PutBuf(b)
		return failBadHead
	}
	try := &ctx.Tries[len(ctx.Tries)-1]
	try.Status = 101
	try.Header = a.r.loop.Now() - try.Start
	ctx.Source = req.FromUpstream
	ctx.MergeExtra()
	if ctx.Has(req.HeaderFilter) {
		ctx.RunPhase(req.HeaderFilter)
	}
	a.started = true
	if err := ctx.Stream.SendHead(a.t, req.FrameNone, nil, false); err != nil {
		a.r.loop.PutBuf(b)
		return failClient
	}
	client, unread, err := ctx.Stream.Hijack()
	if err != nil {
		a.r.loop.PutBuf(b)
		return failClient
	}
	up := &tunnel{r: a.r, from: client, to: a.conn, first: unread, silence: a.read, main: a.t}
	down := tunnel{r: a.r, from: a.conn, to: client, first: b, silence: a.read}
	up.other, down.other = &down, up
	up.running = true
	a.r.loop.Start(up)
	down.move(a.t)
	for up.running {
		a.t.Park(0)
	}
	ctx.BytesIn += up.moved
	ctx.BytesOut += down.moved
	try.Bytes += down.moved
	a.closeConn()
	client.Close()
	return okay
}

// tunnel is one direction of an upgraded connection.
type tunnel struct {
	r        *Relay
	from, to req.Duplex
	first    *loop.Buf // bytes that were read already
	silence  int64     // the longest time without a byte in either direction
	moved    int64
	last     int64 // clock of the last byte
	other    *tunnel
	main     *loop.Task
	running  bool
}

// Run implements loop.Runner for the direction that has a task of its own.
func (t *tunnel) Run(task *loop.Task) {
	t.move(task)
	t.running = false
	t.main.Wake()
}

// move copies until from ends, then passes the end on; a failure of either side
// closes both.
func (t *tunnel) move(task *loop.Task) {
	b := t.first
	t.first = nil
	t.last = t.r.loop.Now()
	for {
		if b == nil {
			// No buffer is held while waiting: idle tunnels are many.
			if !t.wait(task) {
				t.from.Close()
				t.to.Close()
				return
			}
			b = t.r.loop.GetBuf()
			n, err := t.from.TryRecv(b)
			if err != nil {
				t.r.loop.PutBuf(b)
				if err == io.EOF {
					t.to.CloseWrite()
				} else {
					t.from.Close()
					t.to.Reset()
				}
				return
			}
			if n == 0 {
				t.r.loop.PutBuf(b)
				b = nil
				continue
			}
		}
		t.last = t.r.loop.Now()
		n := b.Len()
		err := t.to.Send(task, b.Bytes(), t.silence)
		t.r.loop.PutBuf(b)
		b = nil
		if err != nil {
			t.from.Close()
			t.to.Close()
			return
		}
		t.moved += int64(n)
	}
}

// wait parks until from is readable. It reports false when neither direction
// moved a byte for the silence allowed, or the connection was closed.
func (t *tunnel) wait(task *loop.Task) bool {
	for {
		last := max(t.last, t.other.last)
		err := t.from.WaitRead(task, last+t.silence)
		switch {
		case err == nil:
			return true
		case err != loop.ErrTimeout:
			return false
		case max(t.last, t.other.last)+t.silence <= t.r.loop.Now():
			return false
		}
	}
}
