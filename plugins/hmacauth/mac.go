package hmacauth

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
)

// algorithm is one of the three that the plugin knows.
type algorithm uint8

const (
	sha1MAC algorithm = iota
	sha256MAC
	sha512MAC
	numAlgorithms
)

var algorithms = [numAlgorithms]string{"hmac-sha1", "hmac-sha256", "hmac-sha512"}

// algorithmOf finds an algorithm by its name.
func algorithmOf(name []byte) (algorithm, bool) {
	for a := range algorithms {
		if algorithms[a] == string(name) {
			return algorithm(a), true
		}
	}
	return 0, false
}

// block is the block size of the hash below an algorithm.
func (a algorithm) block() int {
	if a == sha512MAC {
		return sha512.BlockSize
	}
	return sha256.BlockSize // of SHA-1 too
}

// maxSum is the longest MAC.
const maxSum = sha512.Size

// sum appends the hash of message.
func (a algorithm) sum(dst, message []byte) []byte {
	switch a {
	case sha1MAC:
		s := sha1.Sum(message)
		return append(dst, s[:]...)
	case sha256MAC:
		s := sha256.Sum256(message)
		return append(dst, s[:]...)
	}
	s := sha512.Sum512(message)
	return append(dst, s[:]...)
}

// secret is a secret key, ready for every algorithm: the two blocks of RFC 2104
// that stand before what is hashed. crypto/hmac would allocate its state for
// every request.
type secret struct {
	inner, outer [numAlgorithms][sha512.BlockSize]byte
}

func newSecret(key []byte) *secret {
	s := &secret{}
	for a := range numAlgorithms {
		k := key
		if len(k) > a.block() {
			k = a.sum(nil, k)
		}
		inner, outer := s.inner[a][:a.block()], s.outer[a][:a.block()]
		copy(inner, k)
		copy(outer, k)
		for i := range inner {
			inner[i] ^= 0x36
			outer[i] ^= 0x5c
		}
	}
	return s
}

// begin appends what stands before the message.
func (s *secret) begin(dst []byte, a algorithm) []byte { return append(dst, s.inner[a][:a.block()]...) }

// signs tells whether mac is the MAC of the message that follows what begin
// wrote, in constant time.
func (s *secret) signs(a algorithm, begun, mac []byte) bool {
	var room [sha512.BlockSize + maxSum]byte
	outer := append(room[:0], s.outer[a][:a.block()]...)
	outer = a.sum(outer, begun)
	var sum [maxSum]byte
	return subtle.ConstantTimeCompare(a.sum(sum[:0], outer), mac) == 1
}
