package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluicegw/sluice/core/conf"
)

// follower is the state of Run: what was read, and how far the watch came.
type follower struct {
	e    *Etcd
	sink func(conf.Batch)
	// full asks for a full read before the watch.
	full bool
	// started tells that the first full batch was handed on.
	started bool
	// resume is the revision up to which the watch is certain to have seen
	// everything; a new watch starts behind it. mark is the newest progress
	// notification: it becomes resume only when another message followed it
	// on the same stream, since some servers sent it ahead of events (etcd
	// issue 15220).
	resume, mark int64
	// anchor is the newest event or object seen; the store must show it again
	// at that revision, or its history is another one.
	anchor anchor
	// known is the cluster and revision that the store must not fall behind.
	known Known
	// asked is the finding that OnRegress was asked about last, accepted the
	// operator's or OnRegress' word.
	asked    Known
	accepted bool
	// loggedText and loggedAt keep a long outage from filling the log.
	loggedText string
	loggedAt   time.Time
	down       bool
}

type anchor struct {
	key     string
	rev     int64
	deleted bool
}

// regressError says that the store went back and was not accepted.
type regressError struct{ Regress }

func (r *regressError) Error() string { return r.Reason }

// Run implements Provider.
func (e *Etcd) Run(ctx context.Context, sink func(conf.Batch)) error {
	probed := make(chan struct{})
	pctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(probed)
		e.probeLoop(pctx)
	}()
	defer func() {
		cancel()
		<-probed
	}()

	f := &follower{e: e, sink: sink, full: true, known: e.cfg.Known}
	fails := 0
	for {
		began := time.Now()
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) > e.cfg.ResyncDelay {
			fails = 0
		}
		f.report(err)
		if !f.pause(ctx, backoff(fails, e.cfg.ResyncDelay)) {
			return ctx.Err()
		}
		fails++
	}
}

// AcceptRegress takes the state of a store that went back, as the operator's
// word. It returns false when there is nothing to accept.
func (e *Etcd) AcceptRegress() bool {
	if e.Status().Regress == nil {
		return false
	}
	select {
	case e.accept <- struct{}{}:
	default:
	}
	return true
}

// follow reads what has to be read and watches until something breaks.
func (f *follower) follow(ctx context.Context) error {
	e := f.e
	c, err := e.conn(ctx)
	if err != nil {
		return unavailable("connect", err)
	}
	if err := f.verify(ctx, c); err != nil {
		return err
	}
	if f.full {
		if err := f.read(ctx, c); err != nil {
			return err
		}
	}
	return f.watch(ctx, c)
}

// verify makes sure that the store still is the one we know: same cluster,
// not older, and with our newest change in its history. The reads go through
// the cluster's quorum, so that a member that lags is no false alarm.
func (f *follower) verify(ctx context.Context, c *clientv3.Client) error {
	e := f.e
	rctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	resp, err := c.Get(rctx, e.layout.Raw(genIDKey), clientv3.WithKeysOnly())
	if err != nil {
		return unavailable("read", err)
	}
	e.progress.contact(time.Now())
	found := Known{Cluster: resp.Header.ClusterId, Rev: resp.Header.Revision}
	switch {
	case f.known.Cluster != 0 && f.known.Cluster != found.Cluster:
		return f.regressed(found, fmt.Sprintf("another etcd cluster answers: id %x instead of %x", found.Cluster, f.known.Cluster))
	case f.known.Rev > found.Rev:
		return f.regressed(found, fmt.Sprintf("etcd went back from revision %d to %d: it was wiped or restored from a backup", f.known.Rev, found.Rev))
	}
	if f.anchor.rev > 0 {
		resp, err := c.Get(rctx, f.anchor.key, clientv3.WithRev(f.anchor.rev), clientv3.WithKeysOnly())
		switch {
		case isCompacted(err):
			// History does not reach back that far: nothing to compare.
		case isFutureRev(err):
			return f.regressed(found, fmt.Sprintf("etcd does not know revision %d any more", f.anchor.rev))
		case err != nil:
			return unavailable("read", err)
		default:
			here := len(resp.Kvs) == 1 && resp.Kvs[0].ModRevision == f.anchor.rev
			if here == f.anchor.deleted {
				return f.regressed(found, fmt.Sprintf("etcd's history differs at revision %d (%s): it was wiped or restored from a backup", f.anchor.rev, f.anchor.key))
			}
		}
	}
	f.adopt(found)
	return nil
}

// adopt makes found the state that the store must not fall behind.
func (f *follower) adopt(found Known) {
	f.known.Cluster = found.Cluster
	f.known.Rev = max(f.known.Rev, found.Rev)
	f.e.cluster.Store(found.Cluster)
	f.e.answered(found.Rev)
}

// regressed asks whether the state found is taken. On yes everything is read
// anew, on no the error keeps Run away from the store.
func (f *follower) regressed(found Known, reason string) error {
	r := Regress{
		OldRev: f.known.Rev, NewRev: found.Rev,
		OldCluster: f.known.Cluster, NewCluster: found.Cluster,
		Reason: reason, Since: time.Now(),
	}
	// One finding is asked about once; writes go on in the new store, so its
	// revision alone makes no new finding.
	fresh := f.asked.Cluster != found.Cluster || found.Rev < f.asked.Rev
	f.asked = found
	if !f.accepted && fresh {
		f.e.cfg.Log.Error("etcd holds an older or different configuration; the present one keeps serving until the new one is accepted",
			"reason", reason, "old_revision", r.OldRev, "new_revision", r.NewRev)
		f.accepted = f.e.cfg.OnRegress(r)
	}
	if !f.accepted {
		f.e.progress.update(func(s *Status) {
			if s.Regress != nil {
				r.Since = s.Regress.Since
			}
			s.Regress, s.Synced = &r, false
		})
		return &regressError{r}
	}
	f.e.cfg.Log.Warn("the state of etcd is accepted", "reason", reason, "revision", found.Rev)
	f.accepted, f.asked = false, Known{}
	f.full, f.anchor, f.resume, f.mark = true, anchor{}, 0, 0
	f.known = Known{}
	f.e.storeRev.Store(found.Rev)
	f.e.rev.Store(0)
	f.adopt(found)
	return nil
}

// read hands the whole configuration on.
func (f *follower) read(ctx context.Context, c *clientv3.Client) error {
	e := f.e
	began := time.Now()
	got, err := e.readAll(ctx, c)
	if err != nil {
		if isCompacted(err) {
			return fmt.Errorf("the first read was overtaken by a compaction: %w", err)
		}
		return unavailable("read "+e.layout.Root(), err)
	}
	if len(got.batch.Objects) == 0 && f.known.Objects > 0 {
		// The history that could tell a deletion from a loss is gone.
		if err := f.regressed(Known{Cluster: got.cluster, Rev: got.batch.Rev},
			fmt.Sprintf("etcd holds no object below %s any more; there were %d", e.layout.Root(), f.known.Objects)); err != nil {
			return err
		}
	}
	f.resume, f.mark = got.batch.Rev, 0
	f.anchor = anchor{}
	for i := range got.batch.Objects {
		if o := &got.batch.Objects[i]; o.Rev > f.anchor.rev {
			f.anchor = anchor{key: e.layout.Key(o.Kind, o.ID), rev: o.Rev}
		}
	}
	n := len(got.batch.Objects)
	f.known.Objects = n
	e.objects.Store(int64(n))
	e.cfg.OnPlugins(got.plugins, got.batch.Rev)
	f.sink(got.batch)
	e.rev.Store(got.batch.Rev)
	if f.started {
		e.progress.update(func(s *Status) { s.Rereads++ })
	}
	f.full, f.started = false, true
	e.cfg.Log.Info("configuration read from etcd", "objects", n, "revision", got.batch.Rev, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// report logs and notes why follow ended.
func (f *follower) report(err error) {
	e := f.e
	var r *regressError
	switch {
	case errors.As(err, &r):
		return // logged when it was found
	case isCompacted(err):
		e.cfg.Log.Warn("etcd compacted the history away that the watch needs; everything is read again", "revision", f.resume)
		f.full = true
		return
	}
	if f.started {
		e.progress.update(func(s *Status) { s.Reconnects++ })
	}
	text, hint := explain(err)
	e.progress.fault(text, time.Now())
	f.down = true
	// A long outage says the same again and again: one line in 30 s.
	if now := time.Now(); text != f.loggedText || now.Sub(f.loggedAt) > 30*time.Second {
		f.loggedText, f.loggedAt = text, now
		e.cfg.Log.Warn("etcd is not available; the present configuration keeps serving, retrying",
			"endpoints", e.cfg.Hosts, "error", text, "hint", hint, "revision", f.resume)
	}
}

// pause waits between two tries; the operator's word ends it early.
func (f *follower) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-f.e.accept:
		f.accepted = f.e.Status().Regress != nil
		return true
	case <-t.C:
		return true
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// backoff is the pause after the n-th failure in a row: doubling from 200 ms
// to most, varied by half so that a fleet does not come back at one moment.
func backoff(n int, most time.Duration) time.Duration {
	const first = 200 * time.Millisecond
	d := most
	if n < 16 {
		d = min(first<<n, most)
	}
	return d/2 + rand.N(d+1)
}
