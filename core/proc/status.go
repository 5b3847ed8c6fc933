package proc

import (
	"time"
)

// Status is the state of the processes.
type Status struct {
	Loops  int      `json:"loops"`
	Listen []string `json:"listen"`
	// Ready tells whether the serving data process has a configuration, Why
	// what is missing.
	Ready bool   `json:"ready"`
	Why   string `json:"why,omitempty"`
	// Processes lists the live data processes, oldest first.
	Processes []ProcessStatus `json:"processes"`
	// Restarts counts data processes that died unexpectedly since this
	// control process started; LastExit is how the last one ended.
	Restarts   uint64    `json:"restarts"`
	LastExit   string    `json:"last_exit,omitempty"`
	LastExitAt time.Time `json:"last_exit_at,omitzero"`
}

// ProcessStatus is one data process.
type ProcessStatus struct {
	PID   int    `json:"pid"`
	Epoch uint64 `json:"epoch"`
	// Role is "starting", "current" or "draining".
	Role    string    `json:"role"`
	Adopted bool      `json:"adopted,omitempty"`
	Since   time.Time `json:"since"`
	Version string    `json:"version"`
	// Connected tells whether control can talk to it.
	Connected bool `json:"connected"`
	// Served tells that it acknowledged a configuration: Rev is the last
	// revision, at AckedAt.
	Served  bool      `json:"served"`
	Rev     int64     `json:"rev"`
	AckedAt time.Time `json:"acked_at,omitzero"`
}

func (c *child) status() ProcessStatus {
	served := c.isReady()
	c.mu.Lock()
	defer c.mu.Unlock()
	return ProcessStatus{
		PID: c.h.pid, Epoch: c.epoch, Role: c.role, Adopted: c.adopted, Since: c.since, Version: c.binary,
		Connected: c.link != nil, Served: served, Rev: c.acked, AckedAt: c.ackAt,
	}
}

// Status tells how the processes do.
func (s *Supervisor) Status() Status {
	spec, socks := s.shape()
	st := Status{Loops: len(spec.Loops), Processes: []ProcessStatus{}}
	if socks != nil {
		st.Listen = socks.Addrs()
	}
	for _, c := range s.children() {
		st.Processes = append(st.Processes, c.status())
	}
	s.mu.Lock()
	st.Restarts, st.LastExit, st.LastExitAt = s.restarts, s.lastExit, s.exitedAt
	s.mu.Unlock()
	st.Ready, st.Why = s.Ready()
	return st
}

// Ready tells whether a data process serves a configuration, and else what is
// missing, in the words of APISIX's status API.
func (s *Supervisor) Ready() (bool, string) {
	c := s.current()
	switch {
	case s.isStopping():
		return false, "the gateway is stopping"
	case c == nil:
		return false, "the data process is not running"
	case !c.isReady():
		return false, "worker id: 0 has not received configuration"
	}
	return true, ""
}

// Served is the revision that the serving data process acknowledged last;
// false while there is none.
func (s *Supervisor) Served() (int64, bool) {
	c := s.current()
	if c == nil || !c.isReady() {
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.acked, true
}
