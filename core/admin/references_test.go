package admin

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/sluicegw/sluice/core/atrest"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store"
)

// listing makes the tests' API work without an index.
var listing bool

// storeIndex is an index as new as the store.
type storeIndex struct {
	kv   store.KV
	ring *atrest.Keyring
}

func (x *storeIndex) references(ctx context.Context) *References {
	r := NewReferences()
	for kind := conf.KindNone + 1; kind < conf.NumKinds; kind++ {
		l, err := x.kv.List(ctx, kind, "")
		if err != nil {
			panic(err)
		}
		for _, o := range l.Objects {
			plain := x.ring.Open(o)
			r.Put(&plain)
		}
	}
	return r
}

func (x *storeIndex) Users(ctx context.Context, kind conf.Kind, id string, by conf.Kind, limit int) ([]string, bool) {
	return x.references(ctx).Users(kind, id, by, limit), true
}

func (x *storeIndex) Holders(ctx context.Context, plugin, key string, by conf.Kind) ([]string, bool) {
	return x.references(ctx).Holders(plugin, key, by), true
}

// The rules between objects hold with collections listed as well.
func TestRelationsByListing(t *testing.T) {
	listing = true
	defer func() { listing = false }()
	for name, f := range map[string]func(*testing.T){
		"references": TestReferencesMustExist, "protection": TestDeleteProtection, "consumers": TestConsumersAndCredentials,
		"keys": TestDuplicateKeys, "secrets at rest": TestSecretFieldsAtRest, "change sets": TestChangeSetIsRefusedAsAWhole,
		"consumer with credentials": TestChangeSetRemovesAConsumerWithCredentials, "key handed on": TestChangeSetHandsAKeyOn,
	} {
		t.Run(name, f)
	}
}

func TestReferencesFollowObjects(t *testing.T) {
	r := NewReferences()
	put := func(kind conf.Kind, id, value string) {
		o := conf.Object{Kind: kind, ID: id}
		if value != "" {
			o.Value = []byte(value)
		}
		r.Put(&o)
	}
	users := func(id string, want ...string) {
		t.Helper()
		if got := r.Users(conf.KindUpstream, id, conf.KindRoute, 10); !slices.Equal(got, want) {
			t.Errorf("upstream %s is used by %q, want %q", id, got, want)
		}
	}
	put(conf.KindRoute, "1", `{"upstream_id":"a"}`)
	put(conf.KindRoute, "2", `{"upstream_id":7}`)
	put(conf.KindRoute, "3", `{"upstream_id":"a","plugins":{"traffic-split":{"rules":[{"weighted_upstreams":[{"upstream_id":"b"},{"weight":1}]},{"weighted_upstreams":[{"upstream_id":"c"}]}]}}}`)
	put(conf.KindRoute, "4", `{"upstream_id":`)
	put(conf.KindService, "1", `{"upstream_id":"a"}`)
	users("a", "1", "3")
	users("b", "3")
	users("c", "3")
	users("7", "2")
	put(conf.KindRoute, "3", `{"upstream_id":"b"}`)
	users("a", "1")
	users("b", "3")
	users("c")
	put(conf.KindRoute, "1", "")
	put(conf.KindRoute, "2", "")
	put(conf.KindRoute, "3", "")
	put(conf.KindService, "1", "")
	if len(r.users) != 0 || len(r.out) != 0 {
		t.Errorf("%v %v are left", r.users, r.out)
	}
	put(conf.KindConsumer, "jack", `{"plugins":{"key-auth":{"key":"k"},"jwt-auth":{"key":"k"}}}`)
	put(conf.KindCredential, "joe/credentials/1", `{"plugins":{"key-auth":{"key":"k"}}}`)
	if got := r.Holders("key-auth", "k", conf.KindConsumer); !slices.Equal(got, []string{"jack"}) {
		t.Errorf("%q", got)
	}
	if got := r.Holders("key-auth", "k", conf.KindCredential); !slices.Equal(got, []string{"joe/credentials/1"}) {
		t.Errorf("%q", got)
	}
}

// Of very many users a few are enough to refuse.
func TestUsersAreLimited(t *testing.T) {
	r := NewReferences()
	for i := range 1000 {
		r.Put(&conf.Object{Kind: conf.KindRoute, ID: fmt.Sprint(i), Value: []byte(`{"service_id":"s"}`)})
	}
	if n := len(r.Users(conf.KindService, "s", conf.KindRoute, 5)); n != 5 {
		t.Errorf("%d", n)
	}
}
