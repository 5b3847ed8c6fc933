// Package memkv is a configuration store in memory with the semantics of the
// etcd one, for tests and for a gateway that keeps nothing.
package memkv

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
)

var (
	_ store.KV       = (*KV)(nil)
	_ store.Provider = (*KV)(nil)
)

// KV is the store. The zero value is not usable; call New.
type KV struct {
	mu      sync.Mutex
	rev     int64
	objects map[key]item
	raw     map[string]item
	// log holds every change for the watchers, in order; revision r's changes
	// carry Rev r.
	log []conf.Object
	// changed is closed and replaced with every change.
	changed chan struct{}
	dirs    bool
	fault   error
	running int
	shown   int64
}

type key struct {
	kind conf.Kind
	id   string
}

type item struct {
	value          []byte
	createRev, rev int64
	expires        *time.Timer
}

// New returns an empty store at revision 1, as a fresh etcd has it.
func New() *KV {
	return &KV{rev: 1, objects: make(map[key]item), raw: make(map[string]item), changed: make(chan struct{})}
}

// Fail makes every further operation answer with err, as a store that is not
// reachable does; nil ends it. Err should be a *store.UnavailableError.
func (m *KV) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = err
	m.wake()
}

// InitDirs makes empty collections exist.
func (m *KV) InitDirs(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirs = true
	return m.fault
}

// Close ends the timers of objects with a time to live.
func (m *KV) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, it := range m.objects {
		if it.expires != nil {
			it.expires.Stop()
		}
	}
	return nil
}

// wake tells the watchers; m.mu is held.
func (m *KV) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// Get implements store.KV.
func (m *KV) Get(ctx context.Context, kind conf.Kind, id string) (conf.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return conf.Object{}, err
	}
	it, ok := m.objects[key{kind, id}]
	if !ok {
		return conf.Object{}, store.ErrNotFound
	}
	return it.object(kind, id), nil
}

func (m *KV) usable(ctx context.Context) error {
	if m.fault != nil {
		return m.fault
	}
	return ctx.Err()
}

func (it item) object(kind conf.Kind, id string) conf.Object {
	return conf.Object{Kind: kind, ID: id, CreateRev: it.createRev, Rev: it.rev, Value: it.value}
}

// List implements store.KV.
func (m *KV) List(ctx context.Context, kind conf.Kind, idPrefix string) (store.Listing, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return store.Listing{}, err
	}
	l := store.Listing{Rev: m.rev, Exists: m.dirs && idPrefix == ""}
	for k, it := range m.objects {
		if k.kind == kind && strings.HasPrefix(k.id, idPrefix) {
			l.Objects = append(l.Objects, it.object(k.kind, k.id))
		}
	}
	slices.SortFunc(l.Objects, func(a, b conf.Object) int {
		return cmp.Or(cmp.Compare(a.CreateRev, b.CreateRev), strings.Compare(a.ID, b.ID))
	})
	l.Exists = l.Exists || len(l.Objects) > 0
	return l, nil
}

// Put implements store.KV.
func (m *KV) Put(ctx context.Context, kind conf.Kind, id string, value []byte, opts store.PutOptions) (store.PutResult, error) {
	return m.put(ctx, store.Op{Type: store.OpPut, Kind: kind, ID: id, Value: value, TTL: opts.TTL})
}

// PutIfAbsent implements store.KV.
func (m *KV) PutIfAbsent(ctx context.Context, kind conf.Kind, id string, value []byte, opts store.PutOptions) (store.PutResult, error) {
	return m.put(ctx, store.Op{Type: store.OpPut, Kind: kind, ID: id, Value: value, TTL: opts.TTL, Cond: store.IfAbsent})
}

// CompareAndSwap implements store.KV.
func (m *KV) CompareAndSwap(ctx context.Context, kind conf.Kind, id string, value []byte, rev int64, opts store.PutOptions) (store.PutResult, error) {
	return m.put(ctx, store.Op{Type: store.OpPut, Kind: kind, ID: id, Value: value, TTL: opts.TTL, Cond: store.IfRev, Rev: rev})
}

func (m *KV) put(ctx context.Context, op store.Op) (store.PutResult, error) {
	res, err := m.Txn(ctx, []store.Op{op})
	if err != nil {
		return store.PutResult{}, err
	}
	return res.Puts[0], nil
}

// Delete implements store.KV.
func (m *KV) Delete(ctx context.Context, kind conf.Kind, id string) (int64, error) {
	res, err := m.Txn(ctx, []store.Op{{Type: store.OpDelete, Kind: kind, ID: id}})
	if err != nil {
		return 0, err
	}
	if res.Puts[0].Rev == 0 {
		return 0, store.ErrNotFound
	}
	return res.Rev, nil
}

// MaxTxnOps implements store.KV.
func (m *KV) MaxTxnOps() int { return 128 }

// Txn implements store.KV.
func (m *KV) Txn(ctx context.Context, ops []store.Op) (store.TxnResult, error) {
	var res store.TxnResult
	if err := store.CheckOps(ops); err != nil {
		return res, err
	}
	if len(ops) > m.MaxTxnOps() {
		return res, fmt.Errorf("%w: %d", store.ErrTooManyOps, len(ops))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return res, err
	}
	for _, op := range ops {
		if rev := m.objects[key{op.Kind, op.ID}].rev; !op.Holds(rev) {
			return res, &store.ConflictError{Kind: op.Kind, ID: op.ID, Rev: rev}
		}
	}
	rev := m.rev + 1
	res.Puts = make([]store.PutResult, len(ops))
	wrote := false
	for i, op := range ops {
		switch op.Type {
		case store.OpPut:
			res.Puts[i] = m.set(op, rev)
			wrote = true
		case store.OpDelete:
			if m.remove(key{op.Kind, op.ID}, rev) {
				res.Puts[i].Rev, wrote = rev, true
			}
		}
	}
	if wrote {
		m.rev = rev
		m.wake()
	}
	res.Rev = m.rev
	return res, nil
}

// set writes one object at rev; m.mu is held.
func (m *KV) set(op store.Op, rev int64) store.PutResult {
	k := key{op.Kind, op.ID}
	old, exists := m.objects[k]
	if old.expires != nil {
		old.expires.Stop()
	}
	it := item{value: append([]byte{}, op.Value...), createRev: rev, rev: rev}
	if exists {
		it.createRev = old.createRev
	}
	if op.TTL > 0 {
		it.expires = time.AfterFunc(op.TTL, func() { m.expire(k, rev) })
	}
	m.objects[k] = it
	m.log = append(m.log, it.object(k.kind, k.id))
	return store.PutResult{Created: !exists, CreateRev: it.createRev, Rev: rev}
}

// remove deletes an object and what lives below it; m.mu is held.
func (m *KV) remove(k key, rev int64) bool {
	if k.kind == conf.KindConsumer {
		var below []key
		for c := range m.objects {
			if c.kind == conf.KindCredential && strings.HasPrefix(c.id, store.CredentialPrefix(k.id)) {
				below = append(below, c)
			}
		}
		slices.SortFunc(below, func(a, b key) int { return strings.Compare(a.id, b.id) })
		for _, c := range below {
			m.remove(c, rev)
		}
	}
	it, ok := m.objects[k]
	if !ok {
		return false
	}
	if it.expires != nil {
		it.expires.Stop()
	}
	delete(m.objects, k)
	m.log = append(m.log, conf.Object{Kind: k.kind, ID: k.id, Rev: rev})
	return true
}

// expire removes an object whose time is over unless it was written again.
func (m *KV) expire(k key, rev int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects[k].rev != rev {
		return
	}
	m.rev++
	m.remove(k, m.rev)
	m.wake()
}

// NextID implements store.KV.
func (m *KV) NextID(ctx context.Context) (string, error) {
	rev, err := m.PutRaw(ctx, "gen_id", []byte("1"), store.PutOptions{})
	if err != nil {
		return "", err
	}
	return store.FormatID(rev), nil
}

// GetRaw implements store.KV.
func (m *KV) GetRaw(ctx context.Context, name string) ([]byte, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return nil, 0, err
	}
	it, ok := m.raw[name]
	if !ok {
		return nil, 0, store.ErrNotFound
	}
	return it.value, it.rev, nil
}

// PutRaw implements store.KV. A time to live is not kept.
func (m *KV) PutRaw(ctx context.Context, name string, value []byte, _ store.PutOptions) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return 0, err
	}
	m.rev++
	m.raw[name] = item{value: append([]byte{}, value...), rev: m.rev}
	m.wake()
	return m.rev, nil
}

// Run implements store.Provider.
func (m *KV) Run(ctx context.Context, sink func(conf.Batch)) error {
	m.mu.Lock()
	full := conf.Batch{Full: true, Rev: m.rev}
	for k, it := range m.objects {
		full.Objects = append(full.Objects, it.object(k.kind, k.id))
	}
	next := len(m.log)
	changed := m.changed
	m.running++
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.running--
		m.mu.Unlock()
	}()
	slices.SortFunc(full.Objects, func(a, b conf.Object) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.ID, b.ID))
	})
	sink(full)
	m.handedOn(full.Rev)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
		m.mu.Lock()
		changed = m.changed
		var b conf.Batch
		if m.fault == nil {
			b.Objects = append(b.Objects, m.log[next:]...)
			b.Rev, next = m.rev, len(m.log)
		}
		m.mu.Unlock()
		if len(b.Objects) > 0 {
			sink(b)
			m.handedOn(b.Rev)
		}
	}
}

func (m *KV) handedOn(rev int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shown = max(m.shown, rev)
}

// Status implements store.Provider.
func (m *KV) Status() store.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := store.Status{
		Provider:  "memory",
		Endpoints: []store.EndpointStatus{{Endpoint: "memory", Reachable: m.fault == nil}},
		Reachable: m.fault == nil,
		Synced:    m.running > 0 && m.fault == nil,
		Rev:       m.shown, StoreRev: m.rev, Keys: len(m.objects),
	}
	if m.fault != nil {
		s.LastError, s.Endpoints[0].Error = m.fault.Error(), m.fault.Error()
	}
	return s
}
