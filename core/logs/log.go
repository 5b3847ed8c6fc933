package logs

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegw/sluice/core/req"
)

// Sink takes formatted lines. Write may block: requests do not wait for it.
type Sink interface {
	// Write takes whole lines; what it returns an error for is lost.
	Write(lines []byte) error
	Close() error
}

// Options are the settings of a log.
type Options struct {
	// Name is for messages.
	Name   string
	Format *Format
	Sink   Sink
	// RingBytes is the size of each loop's ring. Default
	// 4 MiB, that is about 20,000 records.
	RingBytes int
	// Every is how long a record waits at most before it is written. Default
	// 100 ms.
	Every time.Duration
	Log   *slog.Logger
}

const (
	defaultRing  = 4 << 20
	defaultEvery = 100 * time.Millisecond
	maxLoops     = 256
	// batchBytes is how much is written at one time.
	batchBytes = 64 << 10
)

// Log is one log of requests. Make it with Open.
type Log struct {
	o     Options
	rings [maxLoops]atomic.Pointer[ring]
	// bufs are the loops' scratch buffers, each used by its loop only.
	bufs   [maxLoops][]byte
	failed atomic.Uint64 // records that the sink did not take
	// missed counts records of loops beyond maxLoops.
	missed  atomic.Uint64
	written atomic.Uint64
	kick    chan struct{}
	stop    chan struct{}
	done    chan struct{}
	once    sync.Once
}

// Stats are a log's counters. Dropped records found no room in their ring,
// Failed ones were refused by the sink.
type Stats struct{ Written, Dropped, Failed uint64 }

// Open starts a log.
func Open(o Options) *Log {
	if o.RingBytes <= 0 {
		o.RingBytes = defaultRing
	}
	if o.Every <= 0 {
		o.Every = defaultEvery
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	l := &Log{o: o, kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go l.run()
	return l
}

// Record captures a finished request. It runs on the request's loop, copies
// what the line needs and waits for nothing.
func (l *Log) Record(ctx *req.Ctx) {
	id := ctx.Loop.ID
	if uint(id) >= maxLoops {
		l.missed.Add(1)
		return
	}
	r := l.rings[id].Load()
	if r == nil {
		r = newRing(l.o.RingBytes)
		l.rings[id].Store(r)
	}
	b := l.o.Format.capture(l.bufs[id][:0], ctx)
	l.bufs[id] = b
	if r.put(b) {
		select {
		case l.kick <- struct{}{}:
		default:
		}
	}
}

// Stats may be called from any goroutine.
func (l *Log) Stats() Stats {
	s := Stats{Written: l.written.Load(), Dropped: l.missed.Load(), Failed: l.failed.Load()}
	for i := range l.rings {
		if r := l.rings[i].Load(); r != nil {
			s.Dropped += r.dropped.Load()
		}
	}
	return s
}

// Close writes what is waiting and closes the sink; it gives up after patience,
// leaving a sink that blocks behind.
func (l *Log) Close(patience time.Duration) {
	l.once.Do(func() { close(l.stop) })
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-l.done:
	case <-t.C:
		l.o.Log.Warn("log left behind: its destination does not take the last lines", "log", l.o.Name)
	}
}

func (l *Log) run() {
	defer close(l.done)
	tick := time.NewTicker(l.o.Every)
	defer tick.Stop()
	batch := make([]byte, 0, batchBytes+4<<10)
	for last := false; ; {
		batch = l.drain(batch)
		if last {
			_ = l.o.Sink.Close()
			return
		}
		select {
		case <-tick.C:
		case <-l.kick:
		case <-l.stop:
			last = true
		}
	}
}

// drain writes what is in the rings now.
func (l *Log) drain(batch []byte) []byte {
	for i := range l.rings {
		r := l.rings[i].Load()
		if r == nil {
			continue
		}
		count := uint64(0)
		for end := r.written.Load(); r.read.Load() < end; {
			rec := r.next()
			if rec == nil {
				break
			}
			batch = l.o.Format.appendLine(batch, rec)
			r.done(rec)
			count++
			if len(batch) >= batchBytes {
				batch, count = l.ship(batch, count), 0
			}
		}
		if count > 0 {
			batch = l.ship(batch, count)
		}
	}
	return batch
}

func (l *Log) ship(batch []byte, records uint64) []byte {
	if err := l.o.Sink.Write(batch); err != nil {
		if l.failed.Add(records) == records {
			l.o.Log.Error("log lines are lost", "log", l.o.Name, "error", err)
		}
	} else {
		l.written.Add(records)
	}
	return batch[:0]
}
