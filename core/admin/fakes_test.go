package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
)

// fakeStore is a store.KV in memory with a hook before every transaction.
type fakeStore struct {
	mu      sync.Mutex
	rev     int64
	objects map[objectKey]conf.Object
	ttls    map[objectKey]time.Duration
	// beforeTxn runs once, unlocked, before the next transaction.
	beforeTxn func()
	// down makes every call fail.
	down error
}

func newFakeStore() *fakeStore {
	return &fakeStore{objects: map[objectKey]conf.Object{}, ttls: map[objectKey]time.Duration{}}
}

func (s *fakeStore) Get(_ context.Context, kind conf.Kind, id string) (conf.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return conf.Object{}, s.down
	}
	o, ok := s.objects[objectKey{kind, id}]
	if !ok {
		return conf.Object{}, store.ErrNotFound
	}
	return o, nil
}

func (s *fakeStore) List(_ context.Context, kind conf.Kind, prefix string) (store.Listing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return store.Listing{}, s.down
	}
	l := store.Listing{Rev: s.rev, Exists: true}
	for key, o := range s.objects {
		if key.kind == kind && strings.HasPrefix(key.id, prefix) {
			l.Objects = append(l.Objects, o)
		}
	}
	sort.Slice(l.Objects, func(i, j int) bool { return l.Objects[i].CreateRev < l.Objects[j].CreateRev })
	return l, nil
}

func (s *fakeStore) put(kind conf.Kind, id, value string) {
	_, err := s.Txn(context.Background(), []store.Op{{Type: store.OpPut, Kind: kind, ID: id, Value: []byte(value)}})
	if err != nil {
		panic(err)
	}
}

func (s *fakeStore) Txn(_ context.Context, ops []store.Op) (store.TxnResult, error) {
	s.mu.Lock()
	hook := s.beforeTxn
	s.beforeTxn = nil
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return store.TxnResult{}, s.down
	}
	if len(ops) > s.MaxTxnOps() {
		return store.TxnResult{}, store.ErrTooManyOps
	}
	seen := map[objectKey]bool{}
	for _, op := range ops {
		key := objectKey{op.Kind, op.ID}
		if seen[key] {
			return store.TxnResult{}, errors.New("duplicate key given in txn request")
		}
		seen[key] = true
		o, exists := s.objects[key]
		ok := op.Cond == store.Always ||
			op.Cond == store.IfAbsent && !exists ||
			op.Cond == store.IfPresent && exists ||
			op.Cond == store.IfRev && exists && o.Rev == op.Rev
		if !ok {
			return store.TxnResult{}, &store.ConflictError{Kind: op.Kind, ID: op.ID, Rev: o.Rev}
		}
	}
	s.rev++
	result := store.TxnResult{Rev: s.rev, Puts: make([]store.PutResult, len(ops))}
	for i, op := range ops {
		key := objectKey{op.Kind, op.ID}
		old, exists := s.objects[key]
		switch op.Type {
		case store.OpPut:
			o := conf.Object{Kind: op.Kind, ID: op.ID, CreateRev: s.rev, Rev: s.rev, Value: op.Value}
			if exists {
				o.CreateRev = old.CreateRev
			}
			s.objects[key] = o
			s.ttls[key] = op.TTL
			result.Puts[i] = store.PutResult{Created: !exists, CreateRev: o.CreateRev, Rev: s.rev}
		case store.OpDelete:
			delete(s.objects, key)
		}
	}
	return result, nil
}

func (s *fakeStore) Delete(_ context.Context, kind conf.Kind, id string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return 0, s.down
	}
	if _, ok := s.objects[objectKey{kind, id}]; !ok {
		return 0, store.ErrNotFound
	}
	s.rev++
	delete(s.objects, objectKey{kind, id})
	for key := range s.objects {
		if kind == conf.KindConsumer && key.kind == conf.KindCredential && strings.HasPrefix(key.id, id+"/") {
			delete(s.objects, key)
		}
	}
	return s.rev, nil
}

func (s *fakeStore) NextID(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rev++
	return fmt.Sprintf("%020d", s.rev), s.down
}

func (s *fakeStore) MaxTxnOps() int { return 128 }

func (s *fakeStore) Put(context.Context, conf.Kind, string, []byte, store.PutOptions) (store.PutResult, error) {
	panic("BUG: not used by the API")
}

func (s *fakeStore) PutIfAbsent(context.Context, conf.Kind, string, []byte, store.PutOptions) (store.PutResult, error) {
	panic("BUG: not used by the API")
}

func (s *fakeStore) CompareAndSwap(context.Context, conf.Kind, string, []byte, int64, store.PutOptions) (store.PutResult, error) {
	panic("BUG: not used by the API")
}

func (s *fakeStore) GetRaw(context.Context, string) ([]byte, int64, error) {
	return nil, 0, store.ErrNotFound
}

func (s *fakeStore) PutRaw(context.Context, string, []byte, store.PutOptions) (int64, error) {
	return 0, nil
}

// fakeChecker knows just enough rules to see which errors reach the client.
type fakeChecker struct {
	mu   sync.Mutex
	last map[conf.Kind]string
}

type bareError string

func (e bareError) Error() string { return string(e) }
func (e bareError) Bare() bool    { return true }

func (f *fakeChecker) Check(kind conf.Kind, id string, value []byte) error {
	f.mu.Lock()
	if f.last == nil {
		f.last = map[conf.Kind]string{}
	}
	f.last[kind] = string(value)
	f.mu.Unlock()
	var v map[string]any
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	if _, ok := v["additional"]; ok {
		return errors.New("additional properties forbidden, found additional")
	}
	if desc, ok := v["desc"]; ok {
		if _, ok := desc.(string); !ok {
			return errors.New(`property "desc" validation failed: wrong type: expected string`)
		}
	}
	plugins, _ := v["plugins"].(map[string]any)
	for name := range plugins {
		if _, ok := f.Plugin(HTTP, name); !ok {
			return bareError("unknown plugin [" + name + "]")
		}
	}
	required := map[conf.Kind]string{
		conf.KindRoute: "uri", conf.KindConsumer: "username",
		conf.KindGlobalRule: "plugins", conf.KindProto: "content",
	}
	if name, ok := required[kind]; ok {
		if _, ok := v[name]; !ok {
			return fmt.Errorf("property %q is required", name)
		}
	}
	return nil
}

func (f *fakeChecker) CheckSchema(kind conf.Kind, value []byte) error {
	return f.Check(kind, "", value)
}

func (f *fakeChecker) Schema(name string) ([]byte, bool) {
	if name == "route" {
		return []byte(`{"type":"object"}`), true
	}
	return nil, false
}

var fakePlugins = []Plugin{
	{Name: "limit-count", Priority: 1002, Version: 0.4, Schema: []byte(`{"title":"limit"}`)},
	{Name: "key-auth", Priority: 2500, Version: 0.1, Type: "auth", Schema: []byte(`{"title":"key"}`), ConsumerSchema: []byte(`{"title":"keyc"}`)},
	{Name: "basic-auth", Priority: 2520, Version: 0.1, Type: "auth", Schema: []byte(`{}`), ConsumerSchema: []byte(`{}`)},
	{Name: "jwt-auth", Priority: 2510, Version: 0.1, Type: "auth", Schema: []byte(`{}`), ConsumerSchema: []byte(`{}`)},
	{Name: "traffic-split", Priority: 966, Version: 0.1, Schema: []byte(`{}`)},
	{Name: "grpc-transcode", Priority: 506, Version: 0.1, Schema: []byte(`{}`)},
	{Name: "http-logger", Priority: 410, Version: 0.1, Schema: []byte(`{}`), MetadataSchema: []byte(`{}`)},
}

func (f *fakeChecker) Plugins(s Subsystem) []Plugin {
	if s == Stream {
		return []Plugin{{Name: "mqtt-proxy", Priority: 1000, Schema: []byte(`{}`)}}
	}
	return fakePlugins
}

func (f *fakeChecker) Plugin(s Subsystem, name string) (Plugin, bool) {
	for _, p := range f.Plugins(s) {
		if p.Name == name {
			return p, true
		}
	}
	return Plugin{}, false
}
