package loop

import (
	"context"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// smallReceiveBuffer makes a dialled connection take little at a time.
func smallReceiveBuffer(_ context.Context, _, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
	})
}

// connSize is what an idle connection takes of either engine.
func connSize() uintptr { return unsafe.Sizeof(Conn{}) + unsafe.Sizeof(sock{}) + 8 }
