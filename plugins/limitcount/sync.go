package limitcount

import (
	"sync"
	"time"

	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/state"
	"github.com/sluicegw/sluice/plugins/internal/redis"
)

// syncer counts on this host and tells Redis every so often what it counted.
// The host hands out of what Redis had left at the last exchange.
type syncer struct {
	r        *remote
	table    *state.Table
	interval time.Duration
	dirty    chan owed
	stop     chan struct{}
	done     sync.WaitGroup
}

// owed is a key with requests that Redis was not told of.
type owed struct {
	hash          state.Hash
	name          string
	limit, window int64
}

// maxDirty is how many keys may wait to be noted.
const maxDirty = 4096

func newSyncer(r *remote, table *state.Table, interval time.Duration) *syncer {
	s := &syncer{r: r, table: table, interval: interval, dirty: make(chan owed, maxDirty), stop: make(chan struct{})}
	s.done.Go(s.run)
	return s
}

// close tells Redis what is still owed.
func (s *syncer) close() {
	close(s.stop)
	s.done.Wait()
}

func (s *syncer) run() {
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	keys := map[state.Hash]owed{}
	for {
		select {
		case o := <-s.dirty:
			keys[o.hash] = o
		case now := <-tick.C:
			s.flush(keys, now)
		case <-s.stop:
			for {
				select {
				case o := <-s.dirty:
					keys[o.hash] = o
				default:
					s.flush(keys, time.Now())
					return
				}
			}
		}
	}
}

// flush tells Redis of all keys that are owed.
func (s *syncer) flush(keys map[state.Hash]owed, now time.Time) {
	for h, o := range keys {
		if s.tell(&o, now.UnixMilli()) {
			delete(keys, h)
		} // else the next exchange tries again
	}
}

// tell sends what a key owes, and takes note of what is left of its quota. It
// reports false when that cannot be sent now.
func (s *syncer) tell(o *owed, now int64) bool {
	cost := s.table.DrainLease(o.hash)
	if cost == 0 {
		return true
	}
	call := s.r.call(o.name, o.limit, int64(cost), o.window, now)
	key := *o
	sent := s.r.client.Send(call, func(c *redis.Call, err error) {
		if err == nil {
			var w state.Window
			if w, err = s.r.window(c, key.limit); err == nil {
				s.table.FillLease(key.hash, w.Remaining, 0, max(w.Reset, 1), now)
				return
			}
		}
		s.r.failed(err)
		s.table.RestoreLease(key.hash, cost)
		select {
		case s.dirty <- key:
		case <-s.stop:
		}
	})
	if !sent {
		s.table.RestoreLease(o.hash, cost)
	}
	return sent
}

// take counts a request on this host, after asking Redis once per window what
// is left.
func (s *syncer) take(ctx *req.Ctx, table *state.Table, h state.Hash, name string, limit, window int64) (state.Window, error) {
	now := ctx.Wall / 1e6
	l := table.TakeLease(h, 1, now)
	if !l.Known {
		// What the last lease still owes is told late rather than never.
		untold := table.DrainLease(h)
		call := s.r.call(name, limit, int64(untold), window, now)
		if err := s.r.client.Run(ctx.Task, call); err != nil {
			table.RestoreLease(h, untold)
			s.r.failed(err)
			return state.Window{}, err
		}
		w, err := s.r.window(call, limit)
		if err != nil {
			return w, err
		}
		if table.FillLease(h, w.Remaining, 0, max(w.Reset, 1), now) == state.Full {
			return state.Window{Outcome: state.Full}, nil
		}
		if l = table.TakeLease(h, 1, now); !l.Known {
			return state.Window{Outcome: state.Full}, nil
		}
	}
	if l.First {
		select {
		case s.dirty <- owed{h, name, limit, window}:
		default:
			// Too many keys at one time: this one is told at once, or with
			// what it takes next.
			s.tell(&owed{h, name, limit, window}, now)
		}
	}
	return state.Window{Outcome: l.Outcome, Remaining: l.Remaining, Reset: l.Reset}, nil
}
