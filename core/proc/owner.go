package proc

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const tcpListenState = "0A"

// portOwner names the process that listens on addr's port, as far as /proc
// tells: `nginx (pid 712)`. "" when it does not (another user's process, or
// another network namespace's).
func portOwner(addr netip.AddrPort) string {
	inodes := listeningInodes(addr.Port())
	if len(inodes) == 0 {
		return ""
	}
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return ""
	}
	for _, dir := range procs {
		fds, err := os.ReadDir(dir + "/fd")
		if err != nil {
			continue
		}
		for _, fd := range fds {
			link, err := os.Readlink(dir + "/fd/" + fd.Name())
			if err == nil && inodes[link] {
				return fmt.Sprintf("%s (pid %s)", readLine(dir+"/comm"), filepath.Base(dir))
			}
		}
	}
	return ""
}

// listeningInodes finds the sockets that listen on port, as the targets of
// the links in /proc/PID/fd.
func listeningInodes(port uint16) map[string]bool {
	inodes := make(map[string]bool)
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(raw)) {
			f := strings.Fields(line) // sl local remote st ... inode is the 10th
			if len(f) < 10 || f[3] != tcpListenState {
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if p, err := strconv.ParseUint(hex, 16, 16); err == nil && uint16(p) == port {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	return inodes
}
