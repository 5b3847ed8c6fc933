package proc

import "github.com/sluicegw/sluice/core/conf"

// Follower tells what changed in a table since it was last asked, for those who
// keep something made of the configuration. It is for one goroutine.
type Follower struct{ sub *subscription }

// Follow begins to follow the table.
func (t *Table) Follow() *Follower { return &Follower{t.subscribe(nil)} }

// Changes returns what is new: the whole table at first, then what changed
// since the last call; a deleted object has no value. It reports false before
// the table has been loaded. It costs what changed, and nothing waits for it.
func (f *Follower) Changes() (*conf.Batch, bool) { return f.sub.take() }

// Wake receives after something changed.
func (f *Follower) Wake() <-chan struct{} { return f.sub.wake }

// Close ends it.
func (f *Follower) Close() { f.sub.cancel() }
