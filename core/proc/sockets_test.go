package proc

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func prepare(t *testing.T, old *Sockets, spec *Spec) (*Sockets, string) {
	t.Helper()
	var log bytes.Buffer
	s, err := old.Prepare(spec, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s, log.String()
}

func isOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

func option(t *testing.T, fd, level, name int) int {
	t.Helper()
	v, err := unix.GetsockoptInt(fd, level, name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestOneSocketPerLoopAndAddress(t *testing.T) {
	spec := &Spec{Loops: make([]LoopPlan, 3), Listen: []Listen{
		{Addr: freeAddr(t), DeferAccept: 2 * time.Second, FastOpen: 16, Backlog: 64},
		{Addr: freeAddr(t)},
	}}
	s, log := prepare(t, nil, spec)
	defer s.Close()
	list := s.List()
	if len(list) != 6 {
		t.Fatalf("%d sockets, want 6", len(list))
	}
	for i, sock := range list {
		if sock.Listen != i/3 || sock.Loop != i%3 {
			t.Errorf("socket %d is for address %d, loop %d", i, sock.Listen, sock.Loop)
		}
		if option(t, sock.FD, unix.SOL_SOCKET, unix.SO_REUSEPORT) != 1 || option(t, sock.FD, unix.SOL_SOCKET, unix.SO_ACCEPTCONN) != 1 {
			t.Errorf("socket %d does not share its port or does not listen", i)
		}
		flags, err := unix.FcntlInt(uintptr(sock.FD), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("socket %d blocks", i)
		}
		deferred := option(t, sock.FD, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT)
		if (deferred > 0) != (sock.Listen == 0) {
			t.Errorf("socket %d: TCP_DEFER_ACCEPT %d", i, deferred)
		}
	}
	if !strings.Contains(log, "somaxconn") && readLine("/proc/sys/net/core/somaxconn") != "65535" {
		t.Errorf("nothing said about the clipped backlog: %s", log)
	}
}

func TestSocketsAreKeptAcrossSpecs(t *testing.T) {
	a, b := freeAddr(t), freeAddr(t)
	first, _ := prepare(t, nil, &Spec{Loops: make([]LoopPlan, 2), Listen: []Listen{{Addr: a}}})
	more := &Spec{Loops: make([]LoopPlan, 4), Listen: []Listen{{Addr: b}, {Addr: a}}}
	second, _ := prepare(t, first, more)
	kept := 0
	for _, sock := range second.List() {
		if sock.Listen == 1 && (sock.FD == first.List()[0].FD || sock.FD == first.List()[1].FD) {
			kept++
		}
	}
	if kept != 2 || len(second.List()) != 8 {
		t.Errorf("%d of 2 sockets kept, %d in all", kept, len(second.List()))
	}
	// Given up: what the first has stays open, the rest goes.
	second.CloseExcept(first)
	for _, sock := range second.List() {
		mine := sock.FD == first.List()[0].FD || sock.FD == first.List()[1].FD
		if isOpen(sock.FD) != mine {
			t.Errorf("descriptor %d open: %v", sock.FD, isOpen(sock.FD))
		}
	}
	// Fewer loops: every socket still has a loop.
	third, _ := prepare(t, first, &Spec{Loops: make([]LoopPlan, 1), Listen: []Listen{{Addr: a}}})
	for _, sock := range third.List() {
		if sock.Loop != 0 {
			t.Errorf("socket of loop %d, there is one loop", sock.Loop)
		}
	}
	if len(third.List()) != 2 {
		t.Errorf("%d sockets, want the 2 there were", len(third.List()))
	}
	first.CloseExcept(third)
	third.Close()
	for _, sock := range third.List() {
		if isOpen(sock.FD) {
			t.Error("a socket is left open")
		}
	}
}

func TestAdoptedSockets(t *testing.T) {
	spec := &Spec{Loops: make([]LoopPlan, 2), Listen: []Listen{{Addr: freeAddr(t)}, {Addr: freeAddr(t)}}}
	s, _ := prepare(t, nil, spec)
	var given []Socket
	for _, sock := range s.List() {
		fd, err := unix.FcntlInt(uintptr(sock.FD), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		given = append(given, Socket{Listen: sock.Listen, Loop: sock.Loop, FD: fd})
	}
	s.Close()
	stray, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	adopted := AdoptSockets(spec, append(given, Socket{Listen: 7, FD: stray}))
	if isOpen(stray) {
		t.Error("a socket of no address is left open")
	}
	// The port is in use by ourselves: that must not count against us.
	next, _ := prepare(t, adopted, spec)
	if len(next.List()) != 4 {
		t.Errorf("%d sockets", len(next.List()))
	}
	next.Close()
}

func TestPortInUse(t *testing.T) {
	f := func(name string, listenOn func(addr string) (net.Listener, error), addr string) {
		t.Helper()
		ln, err := listenOn(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		taken := ln.Addr().String()
		_, err = (*Sockets)(nil).Prepare(&Spec{Loops: make([]LoopPlan, 2), Listen: []Listen{{Addr: freeAddr(t)}, {Addr: taken}}}, testLog())
		if err == nil || !strings.Contains(err.Error(), taken) || !strings.Contains(err.Error(), fmt.Sprint("pid ", os.Getpid())) {
			t.Errorf("%s: %v does not name the address and its owner", name, err)
		}
	}
	f("plain", func(a string) (net.Listener, error) { return net.Listen("tcp", a) }, "127.0.0.1:0")
	// Another gateway of this user: the kernel would let us share.
	f("reuseport", func(string) (net.Listener, error) {
		s, _ := prepare(t, nil, &Spec{Loops: make([]LoopPlan, 1), Listen: []Listen{{Addr: freeAddr(t)}}})
		t.Cleanup(s.Close)
		file := os.NewFile(uintptr(s.List()[0].FD), "s")
		defer runtimeKeep(file)
		return net.FileListener(file)
	}, "")
}

// runtimeKeep keeps a file from being closed by the collector: its descriptor
// is somebody else's.
func runtimeKeep(f *os.File) { keep = append(keep, f) }

func TestListenErrors(t *testing.T) {
	f := func(want string, listens ...Listen) {
		t.Helper()
		s, err := (*Sockets)(nil).Prepare(&Spec{Loops: make([]LoopPlan, 1), Listen: listens}, testLog())
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", listens, err, want)
		}
	}
	f("not ip:port", Listen{Addr: "80"})
	f("not ip:port", Listen{Addr: "localhost:80"})
	f("no interface has this address", Listen{Addr: "192.0.2.1:80"})
	addr := freeAddr(t)
	f("given twice", Listen{Addr: addr}, Listen{Addr: addr})
}

func TestMissingAddressMayBeOptional(t *testing.T) {
	s, log := prepare(t, nil, &Spec{Loops: make([]LoopPlan, 1), Listen: []Listen{{Addr: "[2001:db8::1]:80", Optional: true}, {Addr: freeAddr(t)}}})
	defer s.Close()
	list := s.List()
	if len(list) != 1 || list[0].Listen != 1 || !strings.Contains(log, "2001:db8::1") {
		t.Errorf("sockets %+v, log %s", list, log)
	}
}

func TestPortOwner(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(ln.Addr().String())
	if who := portOwner(addr); !strings.Contains(who, fmt.Sprint(os.Getpid())) {
		t.Errorf("owner of our own port: %q", who)
	}
	ln.Close()
	if who := portOwner(addr); who != "" {
		t.Errorf("owner of a free port: %q", who)
	}
}

func TestSteering(t *testing.T) {
	// The kernel checks the program; what it does is in steerProgram.
	spec := &Spec{Loops: []LoopPlan{{CPU: 0}, {CPU: 1}}, Listen: []Listen{{Addr: freeAddr(t), SteerByCPU: true}}}
	s, log := prepare(t, nil, spec)
	defer s.Close()
	if strings.Contains(log, "not steered") {
		t.Fatal(log)
	}
	for range 50 {
		c, err := net.Dial("tcp", spec.Listen[0].Addr)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

// run interprets the few instructions that steerProgram uses.
func run(prog []unix.SockFilter, cpu uint32) uint32 {
	a := uint32(0)
	for pc := 0; pc < len(prog); pc++ {
		switch in := prog[pc]; in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = cpu
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			if a == in.K {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		case unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K:
			a %= in.K
		case unix.BPF_RET | unix.BPF_K:
			return in.K
		case unix.BPF_RET | unix.BPF_A:
			return a
		default:
			panic("unknown instruction")
		}
	}
	panic("no return")
}

func TestSteerProgram(t *testing.T) {
	f := func(cpus []int, cpu, want uint32) {
		t.Helper()
		loops := make([]LoopPlan, len(cpus))
		for i, c := range cpus {
			loops[i].CPU = c
		}
		if got := run(steerProgram(loops), cpu); got != want {
			t.Errorf("loops on %v: processor %d goes to %d, want %d", cpus, cpu, got, want)
		}
	}
	f([]int{0, 1}, 0, 0)
	f([]int{0, 1}, 1, 1)
	f([]int{4, 2}, 2, 1)
	f([]int{4, 2}, 4, 0)
	f([]int{4, 2}, 7, 1) // no loop there: any
	f([]int{3, 3, 5}, 3, 0)
	f([]int{-1, -1, -1}, 5, 2)
}
