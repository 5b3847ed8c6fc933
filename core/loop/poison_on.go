//go:build poison

package loop

// poison overwrites a released buffer, so that a test that still reads it
// sees garbage instead of plausible bytes.
func poison(b []byte) {
	for i := range b {
		b[i] = 0xDB
	}
}
