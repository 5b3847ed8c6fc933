package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
	"github.com/sluicegw/sluice/core/store/memkv"
)

// fakeStore is the store in memory with a hook before a transaction.
type fakeStore struct {
	*memkv.KV
	mu   sync.Mutex
	ttls map[objectKey]time.Duration
	// beforeTxn runs once, before the next transaction.
	beforeTxn func()
}

func newFakeStore() *fakeStore {
	return &fakeStore{KV: memkv.New(), ttls: map[objectKey]time.Duration{}}
}

func (s *fakeStore) put(kind conf.Kind, id, value string) {
	_, err := s.Put(context.Background(), kind, id, []byte(value), store.PutOptions{})
	if err != nil {
		panic(err)
	}
}

// rev is the store's revision.
func (s *fakeStore) rev() int64 {
	l, err := s.List(context.Background(), conf.KindRoute, "")
	if err != nil {
		panic(err)
	}
	return l.Rev
}

func (s *fakeStore) Txn(ctx context.Context, ops []store.Op) (store.TxnResult, error) {
	s.mu.Lock()
	hook := s.beforeTxn
	s.beforeTxn = nil
	for _, op := range ops {
		s.ttls[objectKey{op.Kind, op.ID}] = op.TTL
	}
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
	return s.KV.Txn(ctx, ops)
}

// fakeChecker knows just enough rules to see which errors reach the client.
type fakeChecker struct {
	mu   sync.Mutex
	last map[conf.Kind]string
}

func (f *fakeChecker) Check(kind conf.Kind, id string, value []byte) ([]string, error) {
	if err := f.check(kind, id, value); err != nil {
		return nil, err
	}
	if strings.Contains(string(value), "a warning") {
		return []string{"the check warns"}, nil
	}
	return nil, nil
}

func schemaError(format string, args ...any) error {
	return &conf.Error{Text: fmt.Sprintf(format, args...), Schema: true}
}

func (f *fakeChecker) check(kind conf.Kind, id string, value []byte) error {
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
		return schemaError("additional properties forbidden, found additional")
	}
	if desc, ok := v["desc"]; ok {
		if _, ok := desc.(string); !ok {
			return schemaError(`property "desc" validation failed: wrong type: expected string`)
		}
	}
	plugins, _ := v["plugins"].(map[string]any)
	for name := range plugins {
		if _, ok := f.Plugin(HTTP, name); !ok {
			return &conf.Error{Text: "unknown plugin [" + name + "]"}
		}
	}
	if _, ok := f.Plugin(HTTP, id); kind == conf.KindPluginMetadata && !ok {
		return &conf.Error{Text: "invalid plugin name"}
	}
	required := map[conf.Kind]string{
		conf.KindRoute: "uri", conf.KindConsumer: "username",
		conf.KindGlobalRule: "plugins", conf.KindProto: "content",
	}
	if name, ok := required[kind]; ok {
		if _, ok := v[name]; !ok {
			return schemaError("property %q is required", name)
		}
	}
	return nil
}

func (f *fakeChecker) CheckSchema(kind conf.Kind, value []byte) error {
	return f.check(kind, "", value)
}

func (f *fakeChecker) Schema(name string) ([]byte, bool) {
	if name == "route" {
		return []byte(`{"type":"object"}`), true
	}
	return nil, false
}

// fakePlugins are in the order of their priorities.
var fakePlugins = []Plugin{
	{Name: "basic-auth", Priority: 2520, Version: 0.1, Type: "auth", Schema: []byte(`{}`), ConsumerSchema: []byte(`{}`)},
	{Name: "jwt-auth", Priority: 2510, Version: 0.1, Type: "auth", Schema: []byte(`{}`), ConsumerSchema: []byte(`{}`)},
	{Name: "key-auth", Priority: 2500, Version: 0.1, Type: "auth", Schema: []byte(`{"title":"key"}`), ConsumerSchema: []byte(`{"title":"keyc"}`)},
	{Name: "limit-count", Priority: 1002, Version: 0.4, Schema: []byte(`{"title":"limit"}`)},
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
