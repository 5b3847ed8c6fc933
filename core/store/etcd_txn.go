package store

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// MaxTxnOps implements KV.
func (e *Etcd) MaxTxnOps() int { return e.cfg.MaxTxnOps }

// Txn implements KV.
func (e *Etcd) Txn(ctx context.Context, ops []Op) (TxnResult, error) {
	return e.txn(ctx, fmt.Sprintf("write %d objects at once", len(ops)), ops)
}

// CheckOps refuses transactions that no store takes: strange ids, an object
// written twice, a credential written while its consumer is deleted.
func CheckOps(ops []Op) error {
	type object struct {
		op   Op
		seen bool
	}
	written := make(map[string]object, len(ops))
	var layout Layout
	for _, op := range ops {
		if op.Type < OpPut || op.Type > OpCheck || op.Cond > IfRev {
			return fmt.Errorf("%s [%s]: BUG: unknown operation %d or condition %d", op.Kind, op.ID, op.Type, op.Cond)
		}
		if !checkID(op.Kind, op.ID) {
			return badID(op.Kind, op.ID)
		}
		if op.Type == OpCheck {
			continue
		}
		key := layout.Key(op.Kind, op.ID)
		if written[key].seen {
			return fmt.Errorf("%s [%s]: the change set names this object twice; join the changes", op.Kind, op.ID)
		}
		written[key] = object{op, true}
	}
	for _, w := range written {
		if w.op.Type != OpPut {
			continue
		}
		if parent, below := parentKey(layout.Key(w.op.Kind, w.op.ID)); below {
			if p := written[parent]; p.seen && p.op.Type == OpDelete {
				return fmt.Errorf("%s [%s]: the change set deletes its %s [%s], which would take it along", w.op.Kind, w.op.ID, p.op.Kind, p.op.ID)
			}
		}
	}
	return nil
}

// parentKey is the key of the consumer above a credential's key.
func parentKey(key string) (string, bool) {
	for i := 0; i+len(credentialsPart) < len(key); i++ {
		if key[i:i+len(credentialsPart)] == credentialsPart {
			return key[:i], true
		}
	}
	return "", false
}

// txn runs the operations as one etcd transaction.
func (e *Etcd) txn(ctx context.Context, action string, ops []Op) (TxnResult, error) {
	var res TxnResult
	if err := CheckOps(ops); err != nil {
		return res, err
	}
	err := e.do(ctx, action, func(ctx context.Context, c *clientv3.Client) error {
		leases := leaseSet{c: c}
		t, err := e.buildTxn(ctx, ops, &leases)
		if err != nil {
			leases.revoke()
			return err
		}
		resp, err := c.Txn(ctx).If(t.conds...).Then(t.then...).Else(t.otherwise...).Commit()
		if err != nil {
			leases.revoke()
			return err
		}
		e.answered(resp.Header.Revision)
		if !resp.Succeeded {
			leases.revoke()
			return conflict(ops, resp)
		}
		res = t.result(ops, resp)
		return nil
	})
	return res, err
}

// etcdTxn is a transaction in etcd's terms. first[i] is the index of ops[i]'s
// first operation in then, -1 when it has none.
type etcdTxn struct {
	conds           []clientv3.Cmp
	then, otherwise []clientv3.Op
	first           []int
}

type tooManyOpsError struct{ ops, most int }

func (t *tooManyOpsError) Error() string {
	return fmt.Sprintf("%v: it needs %d, the store takes %d; split the change set, or raise etcd's --max-txn-ops", ErrTooManyOps, t.ops, t.most)
}

func (t *tooManyOpsError) Is(target error) bool { return target == ErrTooManyOps }

func (e *Etcd) buildTxn(ctx context.Context, ops []Op, leases *leaseSet) (*etcdTxn, error) {
	t := &etcdTxn{first: make([]int, len(ops))}
	for i, op := range ops {
		key := e.layout.Key(op.Kind, op.ID)
		switch op.Cond {
		case IfAbsent:
			t.conds = append(t.conds, clientv3.Compare(clientv3.CreateRevision(key), "=", 0))
		case IfPresent:
			t.conds = append(t.conds, clientv3.Compare(clientv3.CreateRevision(key), ">", 0))
		case IfRev:
			t.conds = append(t.conds, clientv3.Compare(clientv3.ModRevision(key), "=", op.Rev))
		}
		if op.Cond != Always {
			t.otherwise = append(t.otherwise, clientv3.OpGet(key, clientv3.WithKeysOnly()))
		}
		t.first[i] = -1
		switch op.Type {
		case OpPut:
			opts, err := leases.option(ctx, op.TTL)
			if err != nil {
				return nil, err
			}
			if op.Cond != IfAbsent {
				// The former object tells whether this one is new.
				opts = append(opts, clientv3.WithPrevKV())
			}
			t.first[i] = len(t.then)
			t.then = append(t.then, clientv3.OpPut(key, string(op.Value), opts...))
		case OpDelete:
			t.first[i] = len(t.then)
			t.then = append(t.then, clientv3.OpDelete(key))
			for _, below := range e.layout.children(op.Kind, op.ID) {
				t.then = append(t.then, clientv3.OpDelete(below, clientv3.WithPrefix()))
			}
		}
	}
	if n := max(len(t.then), len(t.conds)); n > e.cfg.MaxTxnOps {
		return nil, &tooManyOpsError{n, e.cfg.MaxTxnOps}
	}
	return t, nil
}

func (t *etcdTxn) result(ops []Op, resp *clientv3.TxnResponse) TxnResult {
	res := TxnResult{Rev: resp.Header.Revision, Puts: make([]PutResult, len(ops))}
	for i, op := range ops {
		if t.first[i] < 0 {
			continue
		}
		answer := resp.Responses[t.first[i]]
		switch op.Type {
		case OpPut:
			r := PutResult{Created: true, CreateRev: res.Rev, Rev: res.Rev}
			if old := answer.GetResponsePut().PrevKv; old != nil {
				r.Created, r.CreateRev = false, old.CreateRevision
			}
			res.Puts[i] = r
		case OpDelete:
			if answer.GetResponseDeleteRange().Deleted > 0 {
				res.Puts[i].Rev = res.Rev
			}
		}
	}
	return res
}

// conflict finds the first operation whose condition does not hold.
func conflict(ops []Op, resp *clientv3.TxnResponse) error {
	n := 0
	for _, op := range ops {
		if op.Cond == Always {
			continue
		}
		var rev int64
		if kvs := resp.Responses[n].GetResponseRange().Kvs; len(kvs) == 1 {
			rev = kvs[0].ModRevision
		}
		n++
		if !op.Holds(rev) {
			return &ConflictError{Kind: op.Kind, ID: op.ID, Rev: rev}
		}
	}
	return ErrConflict
}

// Holds tells whether the condition is true of an object with mod revision
// rev, 0 when it does not exist.
func (op *Op) Holds(rev int64) bool {
	switch op.Cond {
	case IfAbsent:
		return rev == 0
	case IfPresent:
		return rev != 0
	case IfRev:
		return rev == op.Rev
	}
	return true
}
