package store

import (
	"cmp"
	"context"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluicegw/sluice/core/conf"
)

// Pages aim at this many bytes, so that neither a hundred thousand small
// objects nor a few large ones make one huge answer.
const (
	pageBytes   = 4 << 20
	minPageKeys = 16
	maxPageKeys = 8192
)

// scan reads [start, end) page by page at one revision and hands every key to
// f. It returns the revision and the cluster's id. A compaction that overtakes
// the scan ends it with an error that isCompacted knows.
func (e *Etcd) scan(ctx context.Context, c *clientv3.Client, start, end string, f func(*mvccpb.KeyValue)) (rev int64, cluster uint64, err error) {
	limit := e.cfg.pageKeys
	for {
		opts := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(limit)}
		if rev != 0 {
			opts = append(opts, clientv3.WithRev(rev))
		}
		pctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
		resp, err := c.Get(pctx, start, opts...)
		cancel()
		if err != nil {
			return 0, 0, err
		}
		if rev == 0 {
			rev, cluster = resp.Header.Revision, resp.Header.ClusterId
		}
		size := 1
		for _, kv := range resp.Kvs {
			size += len(kv.Key) + len(kv.Value)
			f(kv)
		}
		e.answered(resp.Header.Revision)
		if !resp.More || len(resp.Kvs) == 0 {
			return rev, cluster, nil
		}
		start = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
		limit = min(max(limit*pageBytes/int64(size), minPageKeys), limit*4, maxPageKeys)
	}
}

// content is what one full read found.
type content struct {
	batch   conf.Batch
	cluster uint64
	plugins []byte
}

// readAll reads everything below the prefix. Objects come in the order in
// which a first load applies them.
func (e *Etcd) readAll(ctx context.Context, c *clientv3.Client) (content, error) {
	var got content
	root := e.layout.Root()
	rev, cluster, err := e.scan(ctx, c, root, clientv3.GetPrefixRangeEnd(root), func(kv *mvccpb.KeyValue) {
		switch class, kind, id := e.classify(kv); class {
		case KeyObject:
			got.batch.Objects = append(got.batch.Objects, object(kind, id, kv))
		case KeyPlugins:
			got.plugins = present(kv.Value)
		}
	})
	if err != nil {
		return got, err
	}
	slices.SortFunc(got.batch.Objects, func(a, b conf.Object) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
	})
	got.batch.Full, got.batch.Rev, got.cluster = true, rev, cluster
	return got, nil
}

// classify parses a key and says once per sort when this version has no use
// for it.
func (e *Etcd) classify(kv *mvccpb.KeyValue) (KeyClass, conf.Kind, string) {
	key := string(kv.Key)
	class, kind, id := e.layout.Parse(key)
	switch class {
	case KeyCostDecoration:
		e.noticed.notice("decoration", "GraphQL cost decorations are kept in etcd but not used by this version", key)
	case KeyUnknown:
		e.noticed.notice(dirOf(key, e.layout), "keys of this sort are not read by this version", key)
	}
	return class, kind, id
}

// dirOf is the part of an unknown key by which it is reported.
func dirOf(key string, l Layout) string {
	rest := key[min(len(l.Root()), len(key)):]
	for i := range rest {
		if rest[i] == '/' {
			return rest[:i]
		}
	}
	return rest
}

func object(kind conf.Kind, id string, kv *mvccpb.KeyValue) conf.Object {
	return conf.Object{Kind: kind, ID: id, CreateRev: kv.CreateRevision, Rev: kv.ModRevision, Value: present(kv.Value)}
}

// present keeps an empty value apart from a missing one, which would mean
// that the object was deleted.
func present(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}
