package index

import "unsafe"

// bytesOf lends the bytes of a string for reading.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
