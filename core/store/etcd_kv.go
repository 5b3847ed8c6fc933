package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluicegw/sluice/core/conf"
)

// do runs one request of the Admin API within the configured time.
func (e *Etcd) do(ctx context.Context, action string, f func(context.Context, *clientv3.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	c, err := e.conn(ctx)
	if err == nil {
		err = f(ctx, c)
	}
	if err == nil || errors.Is(err, ErrConflict) || errors.Is(err, ErrTooManyOps) {
		return err
	}
	return unavailable(action, err)
}

func badID(kind conf.Kind, id string) error {
	return fmt.Errorf("%s: %q is no id of an object of this kind", kind, id)
}

// Get implements KV.
func (e *Etcd) Get(ctx context.Context, kind conf.Kind, id string) (conf.Object, error) {
	if !checkID(kind, id) {
		return conf.Object{}, badID(kind, id)
	}
	kv, err := e.getKey(ctx, fmt.Sprintf("get %s %s", kind, id), e.layout.Key(kind, id))
	if err != nil {
		return conf.Object{}, err
	}
	return object(kind, id, kv), nil
}

func (e *Etcd) getKey(ctx context.Context, action, key string) (kv *mvccpb.KeyValue, err error) {
	err = e.do(ctx, action, func(ctx context.Context, c *clientv3.Client) error {
		resp, err := c.Get(ctx, key)
		if err != nil {
			return err
		}
		e.answered(resp.Header.Revision)
		if len(resp.Kvs) == 1 {
			kv = resp.Kvs[0]
		}
		return nil
	})
	if err == nil && kv == nil {
		err = ErrNotFound
	}
	return kv, err
}

// List implements KV.
func (e *Etcd) List(ctx context.Context, kind conf.Kind, idPrefix string) (Listing, error) {
	if kind <= conf.KindNone || kind >= conf.NumKinds {
		return Listing{}, badID(kind, idPrefix)
	}
	var l Listing
	start := e.layout.Key(kind, idPrefix)
	err := e.do(ctx, fmt.Sprintf("list %s", kind.Dir()), func(ctx context.Context, c *clientv3.Client) (err error) {
		for range 3 { // a compaction may overtake a long scan
			l = Listing{}
			l.Rev, _, err = e.scan(ctx, c, start, clientv3.GetPrefixRangeEnd(start), func(kv *mvccpb.KeyValue) {
				l.Exists = true
				if class, k, id := e.layout.Parse(string(kv.Key)); class == KeyObject && k == kind {
					l.Objects = append(l.Objects, object(kind, id, kv))
				}
			})
			if !isCompacted(err) {
				break
			}
		}
		return err
	})
	if err != nil {
		return Listing{}, err
	}
	sortByCreation(l.Objects)
	return l, nil
}

// sortByCreation orders a listing as the Admin API shows it; objects of one
// transaction are ordered by id.
func sortByCreation(objects []conf.Object) {
	slices.SortFunc(objects, func(a, b conf.Object) int {
		return cmp.Or(cmp.Compare(a.CreateRev, b.CreateRev), strings.Compare(a.ID, b.ID))
	})
}

// Put implements KV.
func (e *Etcd) Put(ctx context.Context, kind conf.Kind, id string, value []byte, opts PutOptions) (PutResult, error) {
	return e.putIf(ctx, Op{Type: OpPut, Kind: kind, ID: id, Value: value, TTL: opts.TTL})
}

// PutIfAbsent implements KV.
func (e *Etcd) PutIfAbsent(ctx context.Context, kind conf.Kind, id string, value []byte, opts PutOptions) (PutResult, error) {
	return e.putIf(ctx, Op{Type: OpPut, Kind: kind, ID: id, Value: value, TTL: opts.TTL, Cond: IfAbsent})
}

// CompareAndSwap implements KV.
func (e *Etcd) CompareAndSwap(ctx context.Context, kind conf.Kind, id string, value []byte, rev int64, opts PutOptions) (PutResult, error) {
	return e.putIf(ctx, Op{Type: OpPut, Kind: kind, ID: id, Value: value, TTL: opts.TTL, Cond: IfRev, Rev: rev})
}

func (e *Etcd) putIf(ctx context.Context, op Op) (PutResult, error) {
	res, err := e.txn(ctx, fmt.Sprintf("write %s %s", op.Kind, op.ID), []Op{op})
	if err != nil {
		return PutResult{}, err
	}
	return res.Puts[0], nil
}

// Delete implements KV.
func (e *Etcd) Delete(ctx context.Context, kind conf.Kind, id string) (int64, error) {
	res, err := e.txn(ctx, fmt.Sprintf("delete %s %s", kind, id), []Op{{Type: OpDelete, Kind: kind, ID: id}})
	if err != nil {
		return 0, err
	}
	if res.Puts[0].Rev == 0 {
		return 0, ErrNotFound
	}
	return res.Rev, nil
}

// NextID implements KV.
func (e *Etcd) NextID(ctx context.Context) (string, error) {
	rev, err := e.PutRaw(ctx, genIDKey, []byte("1"), PutOptions{})
	if err != nil {
		return "", err
	}
	return FormatID(rev), nil
}

// FormatID prints a revision as a generated id: 20 digits with leading zeros.
func FormatID(rev int64) string { return fmt.Sprintf("%020d", rev) }

// GetRaw implements KV.
func (e *Etcd) GetRaw(ctx context.Context, name string) ([]byte, int64, error) {
	kv, err := e.getKey(ctx, "get "+name, e.layout.Raw(name))
	if err != nil {
		return nil, 0, err
	}
	return present(kv.Value), kv.ModRevision, nil
}

// PutRaw implements KV.
func (e *Etcd) PutRaw(ctx context.Context, name string, value []byte, opts PutOptions) (rev int64, err error) {
	err = e.do(ctx, "write "+name, func(ctx context.Context, c *clientv3.Client) error {
		leases := leaseSet{c: c}
		opt, err := leases.option(ctx, opts.TTL)
		if err != nil {
			return err
		}
		resp, err := c.Put(ctx, e.layout.Raw(name), string(value), opt...)
		if err != nil {
			leases.revoke()
			return err
		}
		rev = resp.Header.Revision
		e.answered(rev)
		return nil
	})
	return rev, err
}

// InitDirs writes the placeholders that are missing, so that APISIX nodes on
// the same store start and empty collections are empty instead of unknown.
func (e *Etcd) InitDirs(ctx context.Context) error {
	var each []clientv3.Op
	for _, key := range e.layout.Placeholders() {
		each = append(each, clientv3.OpTxn(
			[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)},
			[]clientv3.Op{clientv3.OpPut(key, placeholderText)}, nil))
	}
	return e.do(ctx, "write the placeholders", func(ctx context.Context, c *clientv3.Client) error {
		resp, err := c.Txn(ctx).Then(each...).Commit()
		if err == nil {
			e.answered(resp.Header.Revision)
		}
		return err
	})
}

// leaseSet grants one lease per time to live and takes them back when the
// write they were for failed.
type leaseSet struct {
	c   *clientv3.Client
	ids map[time.Duration]clientv3.LeaseID
}

func (l *leaseSet) option(ctx context.Context, ttl time.Duration) ([]clientv3.OpOption, error) {
	if ttl <= 0 {
		return nil, nil
	}
	id, ok := l.ids[ttl]
	if !ok {
		resp, err := l.c.Grant(ctx, int64((ttl+time.Second-1)/time.Second))
		if err != nil {
			return nil, err
		}
		id = resp.ID
		if l.ids == nil {
			l.ids = make(map[time.Duration]clientv3.LeaseID)
		}
		l.ids[ttl] = id
	}
	return []clientv3.OpOption{clientv3.WithLease(id)}, nil
}

func (l *leaseSet) revoke() {
	for _, id := range l.ids {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		// An unused lease ends by itself; this only saves it the wait.
		_, _ = l.c.Revoke(ctx, id)
		cancel()
	}
}
