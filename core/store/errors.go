package store

import (
	"errors"
	"fmt"

	"github.com/sluicegw/sluice/core/conf"
)

var (
	// ErrNotFound says that the object does not exist.
	ErrNotFound = errors.New("key not found")
	// ErrConflict says that a condition of a write did not hold.
	ErrConflict = errors.New("the object was changed by someone else meanwhile; read it again and repeat the change")
	// ErrUnavailable matches every *UnavailableError.
	ErrUnavailable = errors.New("the configuration store is not available")
	// ErrTooManyOps says that a transaction is larger than the store takes.
	ErrTooManyOps = errors.New("too many operations for one transaction")
)

// UnavailableError says that the store could not answer, or refused to.
type UnavailableError struct {
	// Action is what was tried: "get route 1".
	Action string
	// Status is the store's own word, fit for an answer to the client.
	Status string
	// Hint is what the operator can do; may be empty.
	Hint string
	// Err is the cause.
	Err error
}

// Error names the action, the cause and the remedy.
func (e *UnavailableError) Error() string {
	s := fmt.Sprintf("etcd: cannot %s: %s", e.Action, e.Status)
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrUnavailable) true.
func (e *UnavailableError) Is(target error) bool { return target == ErrUnavailable }

// ConflictError names the object whose condition failed.
type ConflictError struct {
	Kind conf.Kind
	ID   string
	// Rev is the object's present mod revision, 0 when it does not exist or
	// the store did not tell.
	Rev int64
}

// Error names the object.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s [%s]: %v", e.Kind, e.ID, ErrConflict)
}

// Is makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }
