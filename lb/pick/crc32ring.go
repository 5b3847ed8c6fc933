package pick

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// crc32Points adds the points that APISIX gives a node: CRC-32 over
// host NUL port followed by the previous point as four little-endian bytes, from
// 0 on. All colons of an IPv6 address become NUL as well.
func crc32Points(nodeKey string, n int, add func(place uint32)) {
	base := crc32.ChecksumIEEE([]byte(strings.ReplaceAll(nodeKey, ":", "\x00")))
	var prev [4]byte
	for range n {
		place := crc32.Update(base, crc32.IEEETable, prev[:])
		add(place)
		binary.LittleEndian.PutUint32(prev[:], place)
	}
}

// crc32Slices are tables that take four bytes of a key in one step. The
// standard library is only quick from 64 bytes on, and keys are shorter.
var crc32Slices = makeCRC32Slices()

func makeCRC32Slices() (t [4]crc32.Table) {
	t[0] = *crc32.IEEETable
	for i := range t[0] {
		for k := 1; k < len(t); k++ {
			c := t[k-1][i]
			t[k][i] = t[0][byte(c)] ^ c>>8
		}
	}
	return t
}

// crc32Place is CRC-32 of a key.
func crc32Place(key []byte) uint32 {
	if len(key) >= 64 {
		return crc32.ChecksumIEEE(key)
	}
	t := &crc32Slices
	c := ^uint32(0)
	for ; len(key) >= 4; key = key[4:] {
		c ^= binary.LittleEndian.Uint32(key)
		c = t[3][byte(c)] ^ t[2][byte(c>>8)] ^ t[1][byte(c>>16)] ^ t[0][c>>24]
	}
	for _, b := range key {
		c = t[0][byte(c)^b] ^ c>>8
	}
	return ^c
}
