package req

import "github.com/sluicegw/sluice/core/h1"

// InnerServer serves requests that another request brings along.
type InnerServer interface {
	// ServeInner serves a request as if the client of parent had sent it: head
	// is its request line, fields and blank line, body its whole body. It parks
	// parent's task until the answer is complete. An inner request can hold no
	// further ones.
	ServeInner(parent *Ctx, head, body []byte, answer *InnerAnswer)
}

// InnerAnswer is what an inner request was answered.
type InnerAnswer struct {
	// Deadline is the clock time at which the answer is no longer waited for,
	// 0: none. MaxBody bounds Body in bytes, 0: nothing does. The caller sets
	// both.
	Deadline int64
	MaxBody  int

	// Status is 0 when no answer came: it broke off, was too large, or its
	// deadline passed.
	Status   int
	Header   h1.Header
	Body     []byte
	HasBody  bool
	TooLarge bool
}
