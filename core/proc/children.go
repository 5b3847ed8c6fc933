package proc

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"

	"golang.org/x/sys/unix"
)

// Call asks the serving data process a named question (CallStatus, CallHealth,
// CallMetrics, or what DataPlane.Query knows).
func (s *Supervisor) Call(ctx context.Context, name string, arg []byte) ([]byte, error) {
	c := s.current()
	if c == nil {
		return nil, ErrNotRunning
	}
	return c.call(ctx, name, arg)
}

func (s *Supervisor) current() *child {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cur
}

func (s *Supervisor) setCurrent(c *child) {
	s.mu.Lock()
	s.cur = c
	s.mu.Unlock()
}

func (s *Supervisor) shape() (Spec, *Sockets) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spec, s.socks
}

func (s *Supervisor) promote(c *child) {
	c.setRole(roleCurrent)
	s.setCurrent(c)
	s.save()
}

func (c *child) setRole(role string) {
	c.mu.Lock()
	c.role = role
	c.mu.Unlock()
}

func (s *Supervisor) nextEpoch() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	return s.epoch
}

func (s *Supervisor) track(c *child) {
	s.mu.Lock()
	s.all[c] = struct{}{}
	s.mu.Unlock()
	s.save()
}

func (s *Supervisor) untrack(c *child) {
	s.mu.Lock()
	delete(s.all, c)
	s.mu.Unlock()
	s.save()
}

// children lists the live processes, oldest first.
func (s *Supervisor) children() []*child {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*child, 0, len(s.all))
	for c := range s.all {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *child) int { return cmp.Compare(a.epoch, b.epoch) })
	return list
}

// save writes the state file for a successor.
func (s *Supervisor) save() {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := state{Epoch: s.epoch}
	for c := range s.all {
		c.mu.Lock()
		role := c.role
		c.mu.Unlock()
		st.Processes = append(st.Processes, dataState{
			PID: c.h.pid, Started: c.startTime, Epoch: c.epoch, Role: role, Spec: c.spec,
		})
	}
	raw, err := json.Marshal(st)
	if err == nil {
		err = s.dir.write(stateFile, raw)
	}
	if err != nil {
		s.log.Error("state for a successor cannot be kept", "error", err)
	}
}

func signalPID(h *handle, sig unix.Signal, log *slog.Logger) {
	if err := h.signal(sig); err != nil {
		log.Warn("cannot signal a data process", "data_pid", h.pid, "error", err)
	}
}

func (s *Supervisor) tellProgress() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.progress)
	s.progress = make(chan struct{})
}

// WaitServed returns when the serving data process has acknowledged the
// revision, or false when ctx ends first.
func (s *Supervisor) WaitServed(ctx context.Context, rev int64) bool {
	for {
		s.mu.Lock()
		next := s.progress
		s.mu.Unlock()
		if at, ok := s.Served(); ok && at >= rev {
			return true
		}
		select {
		case <-next:
		case <-ctx.Done():
			return false
		}
	}
}
