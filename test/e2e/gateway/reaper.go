package gateway

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// markPrefix begins the marks of all gateways of this test process.
var markPrefix = fmt.Sprintf("%d.%d", os.Getpid(), time.Now().UnixNano())

// reaper kills the gateways of this test process when it ends without cleaning
// up, as after a time-out: its standard input ends with us.
const reaper = `read -r _
for p in /proc/[0-9]*; do
  if grep -qsa "GW_E2E_MARK=$1-" "$p/environ"; then kill -9 "${p#/proc/}"; fi
done`

var (
	startReaper sync.Once
	// reaperInput is kept so that only the end of this process closes it.
	reaperInput io.WriteCloser
)

func reapWhenWeDie(t testing.TB) {
	startReaper.Do(func() {
		cmd := exec.Command("sh", "-c", reaper, "reaper", markPrefix)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		var err error
		if reaperInput, err = cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatalf("the reaper of left-over gateways: %v", err)
		}
		// It outlives us by a moment; nobody waits for it.
	})
}
