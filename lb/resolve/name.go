package resolve

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// name is a question that somebody subscribes to. One goroutine keeps it fresh.
type name struct {
	question
	resolver *Resolver
	cancel   context.CancelFunc

	targets atomic.Pointer[[]Target] // the last good answer
	tried   chan struct{}            // closed after the first attempt

	telling sync.Mutex // held while subscribers are told

	mu          sync.Mutex
	subscribers map[*Subscription]struct{}
}

// Subscription keeps a name fresh until it is closed.
type Subscription struct {
	name     *name
	onChange func([]Target)
}

// Subscribe has a name resolved and kept fresh. onChange, which may be nil, is
// called on a goroutine of the resolver, one call at a time for a name, with
// the new servers whenever their set changes, the first answer included. It
// must not change the slice and must not call Stop. Subscriptions to one name
// share its queries.
func (r *Resolver) Subscribe(host string, kind Kind, onChange func([]Target)) *Subscription {
	q := question{strings.ToLower(host), kind}
	s := &Subscription{onChange: onChange}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.names[q]
	if n != nil {
		n.mu.Lock()
		n.subscribers[s] = struct{}{}
		n.mu.Unlock()
		s.name = n
		// Whoever comes later is told what is known, like the first was.
		if onChange != nil && n.targets.Load() != nil {
			r.work.Go(func() {
				n.telling.Lock()
				defer n.telling.Unlock()
				onChange(*n.targets.Load())
			})
		}
		return s
	}
	ctx, cancel := context.WithCancel(r.ctx)
	n = &name{
		question: q, resolver: r, cancel: cancel,
		tried:       make(chan struct{}),
		subscribers: map[*Subscription]struct{}{s: {}},
	}
	s.name = n
	r.names[q] = n
	r.work.Go(func() { n.keep(ctx) })
	return s
}

// Close ends the subscription. A call of onChange that is under way goes on.
func (s *Subscription) Close() {
	n, r := s.name, s.name.resolver
	r.mu.Lock()
	defer r.mu.Unlock()
	n.mu.Lock()
	delete(n.subscribers, s)
	unused := len(n.subscribers) == 0
	n.mu.Unlock()
	if unused && r.names[n.question] == n {
		n.cancel()
		delete(r.names, n.question)
	}
}

// Targets returns the last good answer in a stable order, nil when there was
// none yet. The slice must not be changed.
func (s *Subscription) Targets() []Target {
	if t := s.name.targets.Load(); t != nil {
		return *t
	}
	return nil
}

// Tried is closed when the first attempt to resolve the name ended, whether it
// succeeded or not.
func (s *Subscription) Tried() <-chan struct{} { return s.name.tried }

// firstRetry is the time between the first two attempts after a failure.
const firstRetry = 500 * time.Millisecond

// keep resolves the name again and again until ctx ends.
func (n *name) keep(ctx context.Context) {
	r := n.resolver
	shortest := min(firstRetry, r.options.MaxRetry)
	retry := shortest
	timer := time.NewTimer(0)
	defer timer.Stop()
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		select {
		case <-ctx.Done():
			return
		case r.slots <- struct{}{}:
		}
		targets, ttl, err := r.resolve(ctx, n.question)
		<-r.slots
		if ctx.Err() != nil {
			return
		}
		var wait time.Duration
		changed := false
		if err != nil {
			// The last good answer stays. Failures are spread out so that a
			// name server that comes back is not met by all names at once.
			wait = retry/2 + time.Duration(rand.Int64N(int64(retry/2)+1))
			retry = min(2*retry, r.options.MaxRetry)
		} else {
			retry = shortest
			// Refreshed within the last tenth of the time to live, before it
			// is over.
			ttl = r.bound(ttl)
			wait = ttl - time.Duration(rand.Int64N(int64(ttl/10)+1))
			changed = n.set(targets)
		}
		if first {
			close(n.tried)
		}
		if changed {
			n.tell()
		}
		if err != nil && r.options.OnError != nil {
			r.options.OnError(n.question.name, err)
		}
		timer.Reset(wait)
	}
}

func (r *Resolver) bound(ttl time.Duration) time.Duration {
	if r.options.Valid > 0 {
		return r.options.Valid
	}
	return min(max(ttl, r.options.MinTTL), r.options.MaxTTL)
}

// set takes an answer over and reports whether it differs from the last.
func (n *name) set(targets []Target) bool {
	slices.SortFunc(targets, compareTargets)
	targets = slices.Compact(targets)
	if old := n.targets.Load(); old != nil && slices.Equal(*old, targets) {
		return false
	}
	n.targets.Store(&targets)
	return true
}

// tell hands the present answer to the subscribers.
func (n *name) tell() {
	n.mu.Lock()
	subscribers := slices.Collect(maps.Keys(n.subscribers))
	n.mu.Unlock()
	n.telling.Lock()
	defer n.telling.Unlock()
	for _, s := range subscribers {
		if s.onChange != nil {
			s.onChange(*n.targets.Load())
		}
	}
}

func compareTargets(a, b Target) int {
	return cmp.Or(
		cmp.Compare(a.Priority, b.Priority),
		a.Addr.Compare(b.Addr),
		cmp.Compare(a.Port, b.Port),
		cmp.Compare(a.Weight, b.Weight),
		strings.Compare(a.Host, b.Host),
	)
}
