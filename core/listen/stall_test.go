package listen

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/req"
)

// A plugin that keeps the loop busy is named, with its route.
func TestTheWatchdogNamesWhoStallsALoop(t *testing.T) {
	b := backend(t, func(http.ResponseWriter, *http.Request) {})
	g := newGateway(t, func(_ *Config, _ *req.Upstream, e *req.Effective) {
		e.Chain = &req.Chain{}
		e.Chain.Phases[req.Access] = []req.Step{{Name: "slowpoke", Run: func(ctx *req.Ctx) req.Verdict {
			for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
			}
			return req.Continue
		}}}
	}, b)
	resp, err := http.Get("http://" + g.addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if log := g.logs.String(); !strings.Contains(log, "stage=slowpoke route=1") {
		t.Errorf("the log does not name the plugin and the route: %s", log)
	}
	if st := g.Status()[0]; st.Stalls == 0 || st.LongestMS < 150 {
		t.Errorf("%d stalls, the longest %v ms", st.Stalls, st.LongestMS)
	}
}
