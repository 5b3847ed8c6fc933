package proc

import (
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"
)

// found is a data process of a former control process that is to be taken
// over.
type found struct {
	state dataState
	h     *handle
	link  *link
	socks *Sockets
}

// differs tells whether the process has to be replaced to get the spec.
func (f *found) differs(spec *Spec) bool {
	w := &f.link.welcome
	return w.Digest != spec.Digest() || w.Exe != exeID() || w.Proto != protoVersion || w.Draining
}

// release leaves the process as it was. f may be nil.
func (f *found) release() {
	if f == nil {
		return
	}
	f.link.w.close()
	f.h.close()
	f.socks.Close()
}

// adopt looks for what a former control process left: the data process that
// serves is taken over, one that was being started is sent away, those that
// drain are left to it.
func (s *Supervisor) adopt(st *state) *found {
	var serving *found
	for i := range st.Processes {
		p := &st.Processes[i]
		if !p.alive() {
			continue
		}
		h, err := openHandle(p.PID, nil)
		if err != nil || !p.alive() { // again: the pid is pinned only now
			continue
		}
		log := s.log.With("data_pid", p.PID, "epoch", p.Epoch)
		switch p.Role {
		case roleDraining:
			log.Info("an old data process is still draining")
			h.close()
			continue
		case roleStarting:
			log.Warn("a data process that never came to serve is told to end")
			signalPID(h, unix.SIGTERM, log)
			h.close()
			continue
		}
		f, err := takeOver(s.dir.path, p, h, s.opts.Version)
		if err != nil {
			log.Error("a live data process cannot be taken over, killing it", "error", err)
			killAndWait(h, log)
			continue
		}
		if serving != nil {
			// Cannot happen with one state file; be safe: one serves.
			signalPID(h, unix.SIGTERM, log)
			f.release()
			continue
		}
		serving = f
	}
	return serving
}

func takeOver(dir string, p *dataState, h *handle, version string) (*found, error) {
	l, err := dialLink(dir, dataSock(p.Epoch), version)
	if err != nil {
		return nil, err
	}
	if l.welcome.PID != p.PID || l.welcome.Epoch != p.Epoch || !l.welcome.Booted {
		l.w.close()
		return nil, fmt.Errorf("another process answers (pid %d, epoch %d)", l.welcome.PID, l.welcome.Epoch)
	}
	list, err := l.takeSockets()
	if err != nil {
		l.w.close()
		return nil, fmt.Errorf("listening sockets: %w", err)
	}
	return &found{state: *p, h: h, link: l, socks: AdoptSockets(&p.Spec, list)}, nil
}

func killAndWait(h *handle, log *slog.Logger) {
	signalPID(h, unix.SIGKILL, log)
	done := make(chan struct{})
	go func() {
		h.wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(killWait):
		log.Error("a data process does not die")
	}
	h.close()
}
