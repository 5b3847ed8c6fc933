// Package store keeps the configuration's source: it reads resources from
// etcd or a file as ordered batches, and writes them for the Admin API.
package store

import (
	"context"
	"time"

	"github.com/sluicegw/sluice/core/conf"
)

// Provider is a source of configuration.
type Provider interface {
	// Run reads the whole configuration once, hands it to sink as a full
	// batch, and then every change in the order of its revision. It returns
	// only when ctx ends, with ctx's error: faults of the source are retried
	// for ever, logged and shown by Status. sink is called from one goroutine
	// and may block; nothing is lost meanwhile. The batch is sink's own, the
	// objects' values are shared and must not be written to.
	Run(ctx context.Context, sink func(conf.Batch)) error
	// Status tells how the source does. Safe for concurrent use.
	Status() Status
}

// Status is a snapshot of how a provider does.
type Status struct {
	// Provider is "etcd", "yaml" or "json".
	Provider string
	// Endpoints holds one entry per etcd host, or the file's path.
	Endpoints []EndpointStatus
	// Reachable tells whether the last contact with the source succeeded.
	Reachable bool
	// Synced tells that the configuration was read and the source is being
	// watched now.
	Synced bool
	// Rev is the revision up to which every change was handed on.
	Rev int64
	// StoreRev is the newest revision that the source was seen to have.
	// It counts writes outside the prefix too.
	StoreRev int64
	// Behind is how long Rev has been smaller than StoreRev; 0 when equal.
	Behind time.Duration
	// LastContact is the time of the last answer of the source.
	LastContact time.Time
	// LastError is the newest fault and LastErrorAt its time; empty while
	// everything is well.
	LastError   string
	LastErrorAt time.Time
	// Reconnects counts restarts of the watch, Rereads the full reads after
	// the first, Keys the objects handed on and not deleted since.
	Reconnects, Rereads uint64
	Keys                int
	// Regress is set while the source holds an older or a different state
	// that was not accepted.
	Regress *Regress
}

// EndpointStatus is one host's answer to the last probe.
type EndpointStatus struct {
	// Endpoint is the URL or path as configured.
	Endpoint  string
	Reachable bool
	// Error says why it is not reachable.
	Error string
	// Version is the server's version, when known.
	Version string
}

// Regress describes a store that went back: wiped, restored from an older
// backup, or replaced by another cluster.
type Regress struct {
	// OldRev and NewRev are the revision reached before and the one found.
	OldRev, NewRev int64
	// OldCluster and NewCluster are the clusters' ids; equal when the same
	// cluster answers.
	OldCluster, NewCluster uint64
	// Reason is one sentence for the log.
	Reason string
	// Since is when it was first noticed.
	Since time.Time
}

// Known is what a former run knew of the store. It is kept with the last good
// configuration, so that a store that was wiped meanwhile is noticed.
type Known struct {
	// Cluster is the etcd cluster's id, 0 when unknown.
	Cluster uint64
	// Rev is the revision reached, 0 when unknown.
	Rev int64
	// Objects is how many objects there were, 0 when unknown.
	Objects int
}

// KV is what the Admin API does with the store. Every method takes at most
// the configured time limit and answers with the typed errors of this
// package: ErrNotFound, ErrConflict, ErrTooManyOps, *UnavailableError.
// Implementations are safe for concurrent use.
type KV interface {
	// Get returns one object, or ErrNotFound.
	Get(ctx context.Context, kind conf.Kind, id string) (conf.Object, error)
	// List returns a kind's objects whose id starts with idPrefix ("" for
	// all), in the order of their creation. Credentials of a consumer are
	// List(KindCredential, CredentialPrefix(username)).
	List(ctx context.Context, kind conf.Kind, idPrefix string) (Listing, error)
	// Put writes an object whether it exists or not.
	Put(ctx context.Context, kind conf.Kind, id string, value []byte, opts PutOptions) (PutResult, error)
	// PutIfAbsent writes an object, or answers ErrConflict if it exists.
	PutIfAbsent(ctx context.Context, kind conf.Kind, id string, value []byte, opts PutOptions) (PutResult, error)
	// CompareAndSwap writes an object if its mod revision still is rev, or
	// answers ErrConflict.
	CompareAndSwap(ctx context.Context, kind conf.Kind, id string, value []byte, rev int64, opts PutOptions) (PutResult, error)
	// Delete removes an object and what lives below it (a consumer's
	// credentials, a service's cost decorations) in one transaction and
	// returns the revision, or ErrNotFound.
	Delete(ctx context.Context, kind conf.Kind, id string) (int64, error)
	// NextID makes the id of a POST: a revision as 20 digits.
	NextID(ctx context.Context) (string, error)
	// Txn applies all operations at one revision, or none: ErrConflict (a
	// *ConflictError naming the object) when a condition does not hold,
	// ErrTooManyOps when there are more than MaxTxnOps allows.
	Txn(ctx context.Context, ops []Op) (TxnResult, error)
	// MaxTxnOps is the largest number of operations in one Txn.
	MaxTxnOps() int
	// GetRaw returns a single key below the prefix that is no resource
	// ("plugins"), or ErrNotFound.
	GetRaw(ctx context.Context, name string) (value []byte, rev int64, err error)
	// PutRaw writes such a key and returns the revision.
	PutRaw(ctx context.Context, name string, value []byte, opts PutOptions) (int64, error)
}

// PutOptions qualify a write. The zero value is a plain one.
type PutOptions struct {
	// TTL lets the object vanish by itself; whole seconds, 0 = never.
	TTL time.Duration
}

// PutResult tells what a write did.
type PutResult struct {
	// Created tells that the object did not exist before.
	Created bool
	// CreateRev and Rev are the object's create and mod revision.
	CreateRev, Rev int64
}

// Listing is a kind's content at one revision.
type Listing struct {
	Objects []conf.Object
	// Rev is the store revision at which the list is true.
	Rev int64
	// Exists tells whether the collection has any key at all, a placeholder
	// included; without one, APISIX answers 404 to a list.
	Exists bool
}

// OpType is what one operation of a transaction does.
type OpType uint8

// The operations of a transaction.
const (
	// OpPut writes Value.
	OpPut OpType = iota + 1
	// OpDelete removes the object; a missing one is no error.
	OpDelete
	// OpCheck only tests the condition.
	OpCheck
)

// Cond is a condition on the object's present state.
type Cond uint8

// The conditions of an operation.
const (
	// Always holds.
	Always Cond = iota
	// IfAbsent holds when the object does not exist.
	IfAbsent
	// IfPresent holds when the object exists.
	IfPresent
	// IfRev holds when the object's mod revision is Op.Rev.
	IfRev
)

// Op is one operation of a transaction.
type Op struct {
	Type  OpType
	Kind  conf.Kind
	ID    string
	Value []byte
	TTL   time.Duration
	Cond  Cond
	// Rev belongs to IfRev.
	Rev int64
}

// TxnResult tells what a transaction did.
type TxnResult struct {
	// Rev is the store revision of the transaction; every object written has
	// it as mod revision.
	Rev int64
	// Puts holds a result per operation, in order; that of a delete has
	// Created false and Rev = the transaction's, or 0 when nothing was there.
	Puts []PutResult
}

// CredentialID composes a credential's object id.
func CredentialID(username, id string) string { return username + credentialsPart + id }

// CredentialPrefix is the common start of the ids of a consumer's credentials.
func CredentialPrefix(username string) string { return username + credentialsPart }

const credentialsPart = "/credentials/"
