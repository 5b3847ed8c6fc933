package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/sluicegw/sluice/core/admin"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/proc"
	"github.com/sluicegw/sluice/core/store"
	"github.com/sluicegw/sluice/core/store/journal"
)

func journalConfig(s *conf.Settings) journal.Config {
	j := &s.Sluice.Journal
	return journal.Config{Dir: j.Dir, KeyFile: filepath.Join(j.Dir, "journal.key"), MaxBytes: j.MaxSize}
}

// openJournal begins to record changes. A journal that cannot be kept stands
// in nobody's way.
func (c *control) openJournal(s *conf.Settings) {
	if !s.Sluice.Journal.Enable {
		return
	}
	cfg := journalConfig(s)
	cfg.Log = c.log
	j, err := journal.Open(cfg)
	if err != nil {
		c.log.Error("the journal of changes cannot be kept", "dir", cfg.Dir, "error", err)
		return
	}
	c.journal = j
}

// changed is told by the feed of every change that is served from now on.
func (c *control) changed(rev int64, changes []proc.Change, first bool) {
	j := c.journal
	if j == nil {
		return
	}
	var err error
	switch {
	case first:
		err = j.Gap(rev, "the first configuration of this node")
	case rev < j.LastRev():
		err = j.Gap(rev, "the store went back")
	}
	actor := journal.Actor{}
	if c.settings.Load().Provider() != conf.ProviderEtcd {
		actor.Via = "file"
		if c.standalone != nil {
			actor.Via = "admin"
		}
	}
	entries := make([]journal.Entry, len(changes))
	for i, ch := range changes {
		entries[i] = journal.Entry{Rev: ch.Rev, Kind: ch.Kind, ID: ch.ID, Before: ch.Before, After: ch.After, Actor: actor}
	}
	if len(entries) > 0 {
		err = errors.Join(err, j.Append(entries...))
	}
	if err != nil {
		c.log.Error("changes could not be recorded", "revision", rev, "error", err)
	}
}

// attribute names the author of changes that the Admin API accepted.
func (c *control) attribute(changes []admin.Change) {
	if c.journal == nil {
		return
	}
	seen := int64(-1)
	for i := range changes {
		ch := &changes[i]
		if ch.Rev == seen {
			continue
		}
		seen = ch.Rev
		if err := c.journal.Attribute(ch.Rev, journal.Actor{Name: ch.Admin, Addr: ch.Address, Via: "admin"}); err != nil {
			c.log.Error("the author of a change could not be recorded", "revision", ch.Rev, "error", err)
		}
	}
}

// rollbackOrder is what `gw rollback` asks for.
type rollbackOrder struct {
	Rev    int64 `json:"rev"`
	DryRun bool  `json:"dry_run"`
}

// rollbackResult is what was, or would be, done.
type rollbackResult struct {
	// Rev is the revision written last, 0 when nothing was.
	Rev     int64           `json:"rev"`
	Changes []rollbackEntry `json:"changes"`
}

type rollbackEntry struct {
	Object string `json:"object"`
	// Action is "create", "update" or "delete".
	Action string `json:"action"`
}

// rollback brings the configuration in etcd back to how it was at a revision.
// Every object must still be as the journal has it.
func (c *control) rollback(ctx context.Context, raw []byte) ([]byte, error) {
	var order rollbackOrder
	if err := json.Unmarshal(raw, &order); err != nil {
		return nil, err
	}
	src := c.src.Load()
	if c.journal == nil || src == nil || src.etcd == nil {
		return nil, errors.New("this node keeps no journal of an etcd: there is nothing to roll back to")
	}
	if err := c.journal.Sync(); err != nil {
		return nil, err
	}
	changes, err := journal.Rollback(journalConfig(c.settings.Load()), order.Rev)
	if err != nil {
		return nil, err
	}
	result := rollbackResult{Changes: []rollbackEntry{}}
	ops := make([]store.Op, len(changes))
	for i := range changes {
		ops[i] = rollbackOp(&changes[i])
		result.Changes = append(result.Changes, rollbackEntry{Object: changes[i].Kind.Dir() + "/" + changes[i].ID, Action: action(&changes[i])})
	}
	if !order.DryRun {
		if result.Rev, err = c.write(ctx, src.etcd, ops); err != nil {
			return nil, err
		}
		c.log.Warn("configuration rolled back", "to_revision", order.Rev, "objects", len(ops), "revision", result.Rev)
	}
	return json.Marshal(result)
}

// write applies operations in as few transactions as the store allows.
func (c *control) write(ctx context.Context, etcd *store.Etcd, ops []store.Op) (int64, error) {
	rev := int64(0)
	most := etcd.MaxTxnOps()
	for at := 0; at < len(ops); at += most {
		part := ops[at:min(at+most, len(ops))]
		res, err := etcd.Txn(ctx, part)
		if err != nil {
			if at > 0 {
				err = fmt.Errorf("%d of %d objects were written, then: %w", at, len(ops), err)
			}
			return rev, err
		}
		rev = res.Rev
		if err := c.journal.Attribute(rev, journal.Actor{Name: "gw rollback", Via: "rollback"}); err != nil {
			c.log.Error("the author of a change could not be recorded", "revision", rev, "error", err)
		}
	}
	return rev, nil
}

func rollbackOp(ch *journal.Change) store.Op {
	op := store.Op{Type: store.OpPut, Kind: ch.Kind, ID: ch.ID, Value: ch.After, Cond: store.IfRev, Rev: ch.Rev}
	if ch.Before == nil {
		op.Cond, op.Rev = store.IfAbsent, 0
	}
	if ch.After == nil {
		op.Type, op.Value = store.OpDelete, nil
	}
	return op
}

func action(ch *journal.Change) string {
	switch {
	case ch.Before == nil:
		return "create"
	case ch.After == nil:
		return "delete"
	}
	return "update"
}
