// Package perrequest keeps what an instance of a plugin knows of a request,
// where the same plugin may run twice: by a global rule and by the route.
package perrequest

import (
	"sync"

	"github.com/sluicegw/sluice/core/req"
)

// Store keeps values of type S in a plugin's slot, one for each instance, and
// uses their memory again. Declare one per plugin.
type Store[S any] struct {
	// Slot is the plugin's.
	Slot func() int
	pool sync.Pool
}

type entry[S any] struct {
	owner any
	next  *entry[S]
	value S
}

// Find returns what owner, a pointer to its instance, keeps for the request;
// nil when it keeps nothing.
func (s *Store[S]) Find(ctx *req.Ctx, owner any) *S {
	e, _ := ctx.Slot(s.Slot()).(*entry[S])
	for ; e != nil; e = e.next {
		if e.owner == owner {
			return &e.value
		}
	}
	return nil
}

// Take is Find that makes a value when there is none. The value is as Drop
// left the one whose memory it has, or zero.
func (s *Store[S]) Take(ctx *req.Ctx, owner any) *S {
	if v := s.Find(ctx, owner); v != nil {
		return v
	}
	e, _ := s.pool.Get().(*entry[S])
	if e == nil {
		e = new(entry[S])
	}
	e.owner = owner
	e.next, _ = ctx.Slot(s.Slot()).(*entry[S])
	ctx.SetSlot(s.Slot(), e)
	return &e.value
}

// Drop gives owner's value back; clear makes it fit for another request. It is
// called from the log phase, which is the last.
func (s *Store[S]) Drop(ctx *req.Ctx, owner any, clear func(*S)) {
	head, _ := ctx.Slot(s.Slot()).(*entry[S])
	for at := &head; *at != nil; at = &(*at).next {
		e := *at
		if e.owner != owner {
			continue
		}
		*at = e.next
		clear(&e.value)
		e.owner, e.next = nil, nil
		s.pool.Put(e)
		break
	}
	if head == nil {
		ctx.SetSlot(s.Slot(), nil)
	} else {
		ctx.SetSlot(s.Slot(), head)
	}
}
