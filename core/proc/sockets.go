package proc

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const defaultBacklog = 65535

// Sockets are the listening sockets of the data addresses: one per loop and
// address, all of an address in one SO_REUSEPORT group. The control process
// holds them for its whole life, so that connections waiting in the accept
// queues outlive a data process.
//
// A set is immutable; Prepare makes the next one. Not safe for concurrent use.
type Sockets struct {
	groups []*socketGroup // by index of Spec.Listen; nil = skipped
	loops  int
	// memory is the descriptor of what data processes share (see
	// Options.Memory).
	memory int
}

type socketGroup struct {
	addr netip.AddrPort
	fds  []int
}

// Prepare returns the sockets for spec: those of s that fit are shared, the
// rest is opened. s may be nil. On error nothing is left open that was not
// before. Afterwards close what one of the two sets has alone: s.CloseExcept
// (next) once next serves, next.CloseExcept(s) when it is given up.
func (s *Sockets) Prepare(spec *Spec, log *slog.Logger) (*Sockets, error) {
	next := &Sockets{groups: make([]*socketGroup, len(spec.Listen)), loops: len(spec.Loops)}
	if s != nil {
		next.memory = s.memory
	}
	seen := make(map[netip.AddrPort]bool, len(spec.Listen))
	for i := range spec.Listen {
		ln := &spec.Listen[i]
		addr, err := netip.ParseAddrPort(ln.Addr)
		if err != nil {
			next.CloseExcept(s)
			return nil, fmt.Errorf("listen address %q is not ip:port: %w", ln.Addr, err)
		}
		if seen[addr] {
			next.CloseExcept(s)
			return nil, fmt.Errorf("listen address %s is given twice", addr)
		}
		seen[addr] = true
		g, err := s.group(addr).extend(ln, addr, spec.Loops, log)
		if err != nil {
			if ln.Optional && noSuchFamily(err) {
				log.Warn("listen address skipped: this host has no IPv6", "address", ln.Addr)
				continue
			}
			next.CloseExcept(s)
			return nil, err
		}
		next.groups[i] = g
	}
	noteBacklog(spec, log)
	return next, nil
}

func noSuchFamily(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)
}

func (s *Sockets) group(addr netip.AddrPort) *socketGroup {
	if s == nil {
		return nil
	}
	for _, g := range s.groups {
		if g != nil && g.addr == addr {
			return g
		}
	}
	return nil
}

// extend returns a group with at least one socket per loop that starts with
// g's sockets; g may be nil.
func (g *socketGroup) extend(ln *Listen, addr netip.AddrPort, loops []LoopPlan, log *slog.Logger) (*socketGroup, error) {
	next := &socketGroup{addr: addr}
	old := 0
	if g != nil {
		next.fds = append(next.fds, g.fds...)
		old = len(g.fds)
	} else if err := probe(addr); err != nil {
		return nil, err
	}
	fail := func(err error) (*socketGroup, error) {
		for _, fd := range next.fds[old:] {
			unix.Close(fd)
		}
		return nil, err
	}
	for len(next.fds) < len(loops) {
		fd, err := openSocket(addr, true)
		if err != nil {
			return fail(err)
		}
		next.fds = append(next.fds, fd)
		if err := listen(fd, ln, addr); err != nil {
			return fail(err)
		}
	}
	for _, fd := range next.fds[:old] {
		if err := listen(fd, ln, addr); err != nil {
			return fail(err)
		}
	}
	if !ln.SteerByCPU {
		unsteer(next.fds[0])
	} else if err := steer(next.fds[0], loops); err != nil {
		log.Warn("connections are not steered by processor", "address", ln.Addr, "error", err)
	}
	return next, nil
}

// probe fails when somebody listens on addr. Sockets with SO_REUSEPORT would
// quietly share the port with another gateway of the same user.
func probe(addr netip.AddrPort) error {
	fd, err := openSocket(addr, false)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func openSocket(addr netip.AddrPort, reusePort bool) (int, error) {
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, fmt.Errorf("cannot open a socket for %s: %w", addr, err)
	}
	if err := bind(fd, addr, reusePort); err != nil {
		unix.Close(fd)
		return -1, bindError(addr, err)
	}
	return fd, nil
}

func bind(fd int, addr netip.AddrPort, reusePort bool) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if reusePort {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return err
		}
	}
	if addr.Addr().Is4() {
		return unix.Bind(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()})
	}
	// As nginx does: [::] leaves IPv4 to the 0.0.0.0 entry.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
		return err
	}
	sa := &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	if zone := addr.Addr().Zone(); zone != "" {
		id, err := strconv.ParseUint(zone, 10, 32)
		if err != nil {
			return fmt.Errorf("zone %q is not an interface's number: %w", zone, err)
		}
		sa.ZoneId = uint32(id)
	}
	return unix.Bind(fd, sa)
}

func bindError(addr netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		if owner := portOwner(addr); owner != "" {
			return fmt.Errorf("cannot listen on %s: %w: it belongs to %s; stop that, or change apisix.node_listen", addr, err, owner)
		}
		return fmt.Errorf("cannot listen on %s: %w: find its owner with `ss -ltnp`, or change apisix.node_listen", addr, err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("cannot listen on %s: %w: ports below 1024 need CAP_NET_BIND_SERVICE", addr, err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("cannot listen on %s: %w: no interface has this address", addr, err)
	}
	return fmt.Errorf("cannot listen on %s: %w", addr, err)
}

// listen sets the options and (again) the backlog; both may change while the
// socket is in use.
func listen(fd int, ln *Listen, addr netip.AddrPort) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, int(ln.DeferAccept/time.Second)); err != nil {
		return fmt.Errorf("listen address %s: TCP_DEFER_ACCEPT: %w", addr, err)
	}
	if ln.FastOpen > 0 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN, ln.FastOpen); err != nil {
			return fmt.Errorf("listen address %s: TCP_FASTOPEN: %w", addr, err)
		}
	}
	if err := unix.Listen(fd, ln.backlog()); err != nil {
		return bindError(addr, err)
	}
	return nil
}

func (l *Listen) backlog() int {
	if l.Backlog > 0 {
		return l.Backlog
	}
	return defaultBacklog
}

// noteBacklog tells when the kernel makes the accept queues shorter than
// asked for.
func noteBacklog(spec *Spec, log *slog.Logger) {
	limit, err := strconv.Atoi(readLine("/proc/sys/net/core/somaxconn"))
	if err != nil {
		return
	}
	want := 0
	for i := range spec.Listen {
		want = max(want, spec.Listen[i].backlog())
	}
	if want > limit {
		log.Warn("accept queues are shorter than asked for", "backlog", want, "net.core.somaxconn", limit,
			"advice", fmt.Sprintf("sysctl -w net.core.somaxconn=%d", want))
	}
}

// List is what the data process gets: every socket with the loop that is to
// accept from it, and the shared memory. The descriptors stay the set's.
func (s *Sockets) List() []Socket {
	var list []Socket
	for i, g := range s.groups {
		if g == nil {
			continue
		}
		for j, fd := range g.fds {
			list = append(list, Socket{Listen: i, Loop: j % s.loops, FD: fd})
		}
	}
	if s.memory != noMemory {
		list = append(list, Socket{Listen: memoryPlace, FD: s.memory})
	}
	return list
}

// AdoptSockets makes the set of what a data process of that spec gave back.
// It owns the descriptors from then on, those that fit nowhere are closed.
func AdoptSockets(spec *Spec, list []Socket) *Sockets {
	s := &Sockets{groups: make([]*socketGroup, len(spec.Listen)), loops: max(len(spec.Loops), 1)}
	for _, sock := range list {
		if sock.Listen == memoryPlace {
			s.takeMemory(sock.FD)
			continue
		}
		if sock.Listen < 0 || sock.Listen >= len(spec.Listen) {
			unix.Close(sock.FD)
			continue
		}
		g := s.groups[sock.Listen]
		if g == nil {
			addr, err := netip.ParseAddrPort(spec.Listen[sock.Listen].Addr)
			if err != nil {
				unix.Close(sock.FD)
				continue
			}
			g = &socketGroup{addr: addr}
			s.groups[sock.Listen] = g
		}
		g.fds = append(g.fds, sock.FD)
	}
	return s
}

// CloseExcept closes the sockets that other does not share; other may be nil.
func (s *Sockets) CloseExcept(other *Sockets) {
	if s == nil {
		return
	}
	kept := make(map[int]bool)
	if other != nil {
		for _, sock := range other.List() {
			kept[sock.FD] = true
		}
	}
	for _, sock := range s.List() {
		if !kept[sock.FD] {
			unix.Close(sock.FD)
		}
	}
}

// Close closes every socket.
func (s *Sockets) Close() { s.CloseExcept(nil) }

// Addrs lists the addresses that are listened on.
func (s *Sockets) Addrs() []string {
	var addrs []string
	for _, g := range s.groups {
		if g != nil {
			addrs = append(addrs, g.addr.String())
		}
	}
	return addrs
}

func closeFD(fd int) { unix.Close(fd) }
