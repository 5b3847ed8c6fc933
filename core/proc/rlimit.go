package proc

import (
	"fmt"
	"log/slog"

	"golang.org/x/sys/unix"
)

// RaiseOpenFiles sets this process's limit on descriptors to want, or to the
// hard limit when want is 0. A privileged process may raise the hard limit; an
// ordinary one gets what is allowed, and the log says so.
func RaiseOpenFiles(want uint64, log *slog.Logger) error {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return fmt.Errorf("getrlimit: %w", err)
	}
	if want == 0 {
		want = lim.Max
	}
	next := unix.Rlimit{Cur: want, Max: max(lim.Max, want)}
	err := unix.Setrlimit(unix.RLIMIT_NOFILE, &next)
	if err != nil && want > lim.Max {
		log.Warn("nginx_config.worker_rlimit_nofile is above the hard limit", "wanted", want, "limit", lim.Max)
		err = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: lim.Max, Max: lim.Max})
	}
	if err != nil {
		return fmt.Errorf("setrlimit: %w", err)
	}
	return nil
}
