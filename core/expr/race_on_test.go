//go:build race

package expr

// raceEnabled: the race detector makes pools drop what they hold, so allocations
// are not counted under it.
const raceEnabled = true
