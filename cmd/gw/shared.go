package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/proc"
	"github.com/sluicegw/sluice/core/state"
)

// sharedMemory is proc's Memory: the tables of counters, made anew when the
// settings want other sizes.
func sharedMemory(spec *proc.Spec, have int) (int, error) {
	var s conf.Settings
	if err := json.Unmarshal(spec.Settings, &s); err != nil {
		return 0, fmt.Errorf("settings: %w", err)
	}
	sizes := stateSizes(&s)
	if have != 0 {
		if is, err := state.Inspect(have); err == nil && is == sizes {
			return have, nil
		}
	}
	f, err := state.Create(sizes)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	// proc owns descriptors, not files.
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
}

func stateSizes(s *conf.Settings) state.Sizes {
	return state.Sizes{Limits: s.Sluice.State.Limits, Conns: s.Sluice.State.Conns, Breakers: s.Sluice.State.Breakers}
}

// openShared maps the tables that control keeps. Without them the data process
// has its own, which end with it; nil: the builder makes them.
func openShared(memory int, log *slog.Logger) *state.Store {
	if memory != 0 {
		s, err := state.Open(memory)
		if err == nil {
			return s
		}
		log.Error("the shared counters cannot be used: they begin anew", "error", err)
	}
	return state.New(state.DefaultSizes())
}

// sweepEvery is how often expired counters are taken out.
const sweepEvery = time.Minute

func (d *dataPlane) sweepShared() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			d.shared.Sweep(now.UnixMilli())
		case <-d.stop:
			return
		}
	}
}

// writeSharedMetrics writes what the tables count.
func (d *dataPlane) writeSharedMetrics(w io.Writer) {
	m := metricWriter{w: w, prefix: "sluice_state_"}
	var stats []state.Stats
	for _, t := range d.shared.Tables() {
		stats = append(stats, t.Stats())
	}
	for _, f := range []struct {
		name, kind, help string
		get              func(*state.Stats) uint64
	}{
		{"entries", "gauge", "Capacity of a table of shared counters.", func(s *state.Stats) uint64 { return s.Entries }},
		{"used", "gauge", "Entries that are taken.", func(s *state.Stats) uint64 { return s.Used }},
		{"inserted_total", "counter", "Keys that came in.", func(s *state.Stats) uint64 { return s.Inserted }},
		{"reclaimed_total", "counter", "Expired keys that gave way.", func(s *state.Stats) uint64 { return s.Reclaimed }},
		{"full_total", "counter", "Decisions that found no room for their key.", func(s *state.Stats) uint64 { return s.Full }},
		{"busy_total", "counter", "Decisions given up because another held the group for too long.", func(s *state.Stats) uint64 { return s.Busy }},
	} {
		m.head(f.name, f.kind, f.help)
		for i := range stats {
			m.value(f.name, `table="`+stats[i].Name+`"`, float64(f.get(&stats[i])))
		}
	}
}
