package store

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// etcdProgress is what Status shows. Its mutex is a leaf: nothing is called
// while it is held.
type etcdProgress struct {
	mu          sync.Mutex
	st          Status
	behindSince time.Time
}

func (p *etcdProgress) init(hosts []string) {
	p.st.Provider = "etcd"
	p.st.Endpoints = make([]EndpointStatus, len(hosts))
	for i, h := range hosts {
		p.st.Endpoints[i].Endpoint = h
	}
}

func (p *etcdProgress) update(f func(*Status)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.st)
}

func (p *etcdProgress) contact(now time.Time) {
	p.update(func(s *Status) {
		s.Reachable, s.LastContact = true, now
		s.LastError, s.LastErrorAt = "", time.Time{}
	})
}

func (p *etcdProgress) fault(text string, now time.Time) {
	p.update(func(s *Status) {
		s.Reachable, s.Synced = false, false
		s.LastError, s.LastErrorAt = text, now
	})
}

func (p *etcdProgress) allReachable() {
	p.update(func(s *Status) {
		for i := range s.Endpoints {
			// A good answer through the balancer says nothing about one host;
			// only a host that was never looked at is assumed well.
			if s.Endpoints[i].Error == "" {
				s.Endpoints[i].Reachable = true
			}
		}
	})
}

// Status implements Provider.
func (e *Etcd) Status() Status {
	rev, storeRev := e.rev.Load(), e.storeRev.Load()
	p := &e.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.st
	s.Endpoints = append([]EndpointStatus(nil), p.st.Endpoints...)
	s.Rev, s.StoreRev, s.Keys = rev, max(storeRev, rev), int(e.objects.Load())
	if s.Rev >= s.StoreRev {
		p.behindSince = time.Time{}
	} else {
		now := time.Now()
		if p.behindSince.IsZero() {
			p.behindSince = now
		}
		s.Behind = now.Sub(p.behindSince)
	}
	return s
}

// probeEndpoints asks every endpoint for its state, all at once, and returns
// a line for each that does not answer.
func (e *Etcd) probeEndpoints(ctx context.Context) (broken []string) {
	type answer struct {
		i       int
		version string
		err     error
	}
	answers := make(chan answer, len(e.cfg.Hosts))
	ctx, cancel := context.WithTimeout(ctx, e.cfg.HealthCheckTimeout)
	defer cancel()
	for i, h := range e.cfg.Hosts {
		go func() {
			resp, err := e.probe.Status(ctx, h)
			a := answer{i: i, err: err}
			switch {
			case err == nil:
				a.version = resp.Version
			case isAnswer(err):
				a.err = nil
			}
			answers <- a
		}()
	}
	states := make([]EndpointStatus, len(e.cfg.Hosts))
	for range e.cfg.Hosts {
		a := <-answers
		s := EndpointStatus{Endpoint: e.cfg.Hosts[a.i], Version: a.version, Reachable: a.err == nil}
		if a.err != nil {
			s.Error = endpointError(s.Endpoint, a.err)
		}
		states[a.i] = s
	}
	for _, s := range states {
		if !s.Reachable {
			broken = append(broken, s.Error)
		}
	}
	e.progress.update(func(s *Status) { s.Endpoints = states })
	return broken
}

// probeLoop looks at the endpoints now and then, so that Status names a dead
// member even while the others serve us.
func (e *Etcd) probeLoop(ctx context.Context) {
	const every = 30 * time.Second
	t := time.NewTicker(every)
	defer t.Stop()
	known := make(map[string]bool, len(e.cfg.Hosts))
	for {
		e.probeEndpoints(ctx)
		if ctx.Err() != nil {
			return
		}
		for _, s := range e.Status().Endpoints {
			if was, seen := known[s.Endpoint]; seen && was != s.Reachable {
				if s.Reachable {
					e.cfg.Log.Info("etcd endpoint answers again", "endpoint", s.Endpoint)
				} else {
					e.cfg.Log.Warn("etcd endpoint does not answer", "error", s.Error)
				}
			}
			known[s.Endpoint] = s.Reachable
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// noticeOnce logs the first of a sort of keys that this version does not use.
type noticeOnce struct {
	log  *slog.Logger
	mu   sync.Mutex
	seen map[string]bool
}

// maxNotices bounds what noticeOnce remembers; strangers beyond it are
// ignored without a word.
const maxNotices = 32

func (n *noticeOnce) notice(sort, msg, key string) {
	n.mu.Lock()
	first := !n.seen[sort] && len(n.seen) < maxNotices
	if first {
		if n.seen == nil {
			n.seen = make(map[string]bool)
		}
		n.seen[sort] = true
	}
	n.mu.Unlock()
	if first {
		n.log.Warn(msg, "first", key)
	}
}
