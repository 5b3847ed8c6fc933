package listen

import (
	"fmt"
	"os"
	"testing"

	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/core/loop/ring"
)

// engine is the one that newGateway uses.
var engine = loop.EngineEpoll

// TestMain runs the package's tests with both engines.
func TestMain(m *testing.M) {
	code := m.Run()
	if _, err := ring.Probe(); err != nil {
		fmt.Println("not tested with io_uring:", err)
		os.Exit(code)
	}
	fmt.Println("again, with io_uring")
	engine = loop.EngineUring
	os.Exit(max(code, m.Run()))
}
