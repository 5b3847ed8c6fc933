package req

import "sync/atomic"

// Watch tells the stall watchdog what a loop is at. The loop writes, another
// thread reads: what is written points to memory that never changes.
type Watch struct {
	_     [64]byte
	route atomic.Pointer[Route]
	stage atomic.Pointer[string]
	_     [48]byte
}

var (
	stageEntry = "guard or match"
	stageNone  = "?"
)

// Begin notes that a request enters.
func (w *Watch) Begin() { w.stage.Store(&stageEntry) }

// Route notes which route the request found.
func (w *Watch) Route(r *Route) { w.route.Store(r) }

// step notes the plugin that runs.
func (w *Watch) step(name *string) {
	if w != nil {
		w.stage.Store(name)
	}
}

// What names the stage or plugin, and the route, that the loop was last seen
// at. Safe from any thread.
func (w *Watch) What() (stage, route string) {
	stage, route = stageNone, stageNone
	if p := w.stage.Load(); p != nil {
		stage = *p
	}
	if r := w.route.Load(); r != nil {
		route = r.ID
	}
	return stage, route
}
