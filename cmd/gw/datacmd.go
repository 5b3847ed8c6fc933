package main

import (
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/proc"
	_ "github.com/sluicegw/sluice/plugins/all" // the list of built-in plugins
)

func dataCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:    "data-process",
		Short:  "The process that carries the traffic; started by gw run",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(*cobra.Command, []string) error { return runData() },
	}
	// Only for whoever looks at the list of processes.
	cmd.Flags().Uint64("epoch", 0, "number of the data process")
	return cmd
}

func runData() error {
	level := new(slog.LevelVar)
	d := &dataPlane{level: level}
	log, err := openLog(conf.DefaultSettings(), "data", level)
	if err != nil {
		return err
	}
	d.log = log
	return proc.RunData(d, proc.DataOptions{
		Version: version(),
		Log:     log,
		OnBoot:  d.setBoot,
		OnLive:  func(v proc.Live) { level.Set(logLevel(v.LogLevel)) },
	})
}

// Memory of the data process. Requests make no garbage; what there is comes
// from configuration changes, so a larger heap between collections costs
// little and spares the loops the write barriers of frequent ones. A limit of
// the cgroup is never run into for want of a collection: from 80 % of it on
// the collector works as hard as it takes.
const (
	gcPercent   = 200
	memoryShare = 0.8
)

// setMemoryLimits applies them; GOGC and GOMEMLIMIT in the environment win.
func setMemoryLimits(log *slog.Logger) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	limit := cgroupMemory()
	if os.Getenv("GOMEMLIMIT") == "" && limit > 0 {
		debug.SetMemoryLimit(int64(float64(limit) * memoryShare))
		log.Info("memory limit", "cgroup", limit, "share", memoryShare)
	}
}

// cgroupMemory is the memory limit that a container sees, 0 when there is
// none.
func cgroupMemory() int64 {
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
		if err == nil && n > 0 && n < math.MaxInt64>>10 { // version 1 says "no limit" by a huge number
			return n
		}
	}
	return 0
}

// callGC asks the data process to collect garbage.
const callGC = "gc"

func collectGarbage() { debug.FreeOSMemory() }
