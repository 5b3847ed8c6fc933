package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/sluicegw/sluice/core/conf"
)

// The watch speaks etcd's stream itself instead of through the client's
// Watcher: that one reopens broken streams unseen, and on a store that was
// wiped it then waits for a revision that may never come. Here every break
// ends follow, and verify looks before the next watch.

const (
	// watchQueue bounds the messages received but not yet handed on; beyond it
	// the stream's flow control holds the server back.
	watchQueue = 64
	// maxBurst bounds the objects that a burst of messages is joined to. One
	// message may exceed it, since a revision is never split.
	maxBurst = 1024
)

var (
	errSilent       = errors.New("the watch is silent: no answer to the question for its progress")
	errOtherCluster = errors.New("the watch was opened on a member of another cluster")
)

// watchMsg is one whole message of the server: fragments are joined.
type watchMsg struct {
	events  []*mvccpb.Event
	rev     int64
	cluster uint64
	created bool
	err     error
}

// watch follows the changes behind f.resume until the stream breaks.
func (f *follower) watch(ctx context.Context, c *clientv3.Client) error {
	e := f.e
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	stream, err := etcdserverpb.NewWatchClient(c.ActiveConnection()).Watch(ctx, grpc.MaxCallRecvMsgSize(math.MaxInt32))
	if err != nil {
		cancel()
		return unavailable("open the watch", err)
	}
	msgs := make(chan watchMsg, watchQueue)
	go receive(ctx, stream, msgs)
	defer func() {
		cancel()
		for range msgs { // until receive has ended
		}
	}()

	root := e.layout.Root()
	if err := stream.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{
		CreateRequest: &etcdserverpb.WatchCreateRequest{
			Key: []byte(root), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(root)),
			StartRevision:  f.resume + 1,
			ProgressNotify: true, Fragment: true,
		},
	}}); err != nil {
		return unavailable("open the watch", err)
	}

	ask := time.NewTicker(e.cfg.progressEvery)
	defer ask.Stop()
	// waiting is when the first question went out that was not answered yet.
	waiting, patience := time.Now(), min(e.cfg.HealthCheckTimeout, e.cfg.WatchTimeout)
	for {
		select {
		case m := <-msgs:
			waiting, patience = time.Time{}, e.cfg.WatchTimeout
			if err := f.take(m, msgs); err != nil {
				return err
			}
		case <-e.nudge:
			// Somebody waits for the watch to have seen what is there.
			if waiting.IsZero() && askProgress(stream) == nil {
				waiting = time.Now()
			}
		case <-ask.C:
			if !waiting.IsZero() && time.Since(waiting) > patience {
				return errSilent
			}
			if askProgress(stream) != nil {
				// The cause comes from the receiving side, with its text.
				continue
			}
			if waiting.IsZero() {
				waiting = time.Now()
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func askProgress(stream etcdserverpb.Watch_WatchClient) error {
	return stream.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_ProgressRequest{
		ProgressRequest: &etcdserverpb.WatchProgressRequest{},
	}})
}

// caughtUpPoll is how often CaughtUp looks.
const caughtUpPoll = time.Millisecond

// CaughtUp waits, until ctx ends, for everything up to a revision to be handed
// to the sink, and tells whether it was. Where the newest changes of the store
// lie outside of our prefix it asks the server.
func (e *Etcd) CaughtUp(ctx context.Context, rev int64) bool {
	if e.rev.Load() >= rev {
		return true
	}
	select {
	case e.nudge <- struct{}{}:
	default:
	}
	tick := time.NewTicker(caughtUpPoll)
	defer tick.Stop()
	for e.rev.Load() < rev {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// CatchUp asks etcd for its newest revision and waits, until ctx ends, for
// everything up to there to be handed to the sink. It tells whether it was.
func (e *Etcd) CatchUp(ctx context.Context) bool {
	var rev int64
	err := e.do(ctx, "read the revision", func(ctx context.Context, c *clientv3.Client) error {
		resp, err := c.Get(ctx, e.layout.Raw(genIDKey), clientv3.WithKeysOnly())
		if err == nil {
			rev = resp.Header.Revision
		}
		return err
	})
	return err == nil && e.CaughtUp(ctx, rev)
}

// take handles a message and those that wait behind it, as one batch.
func (f *follower) take(m watchMsg, msgs <-chan watchMsg) error {
	e := f.e
	var b conf.Batch
	var broken error
	for {
		if m.err != nil {
			broken = m.err
			break
		}
		if m.cluster != f.known.Cluster {
			broken = errOtherCluster
			break
		}
		if err := f.add(m, &b); err != nil {
			broken = err
			break
		}
		if len(b.Objects) >= maxBurst {
			break
		}
		more := false
		select {
		case m, more = <-msgs:
		default:
		}
		if !more {
			break
		}
	}
	if len(b.Objects) > 0 {
		// What came before the break is whole and counts.
		b.Rev = b.Objects[len(b.Objects)-1].Rev
		f.sink(b)
	}
	if seen := max(f.resume, f.mark); seen > e.rev.Load() {
		e.rev.Store(seen)
		f.known.Rev = max(f.known.Rev, seen)
	}
	e.objects.Store(int64(f.known.Objects))
	return broken
}

// add appends a message's changes to the batch.
func (f *follower) add(m watchMsg, b *conf.Batch) error {
	e := f.e
	if f.mark > f.resume {
		f.resume = f.mark
	}
	e.answered(m.rev)
	if m.created {
		f.watching()
		return nil
	}
	if len(m.events) == 0 {
		f.mark = max(f.mark, m.rev)
		return nil
	}
	for _, ev := range m.events {
		kv := ev.Kv
		deleted := ev.Type == mvccpb.Event_DELETE
		f.anchor = anchor{key: string(kv.Key), rev: kv.ModRevision, deleted: deleted}
		switch class, kind, id := e.classify(kv); class {
		case KeyObject:
			o := object(kind, id, kv)
			switch {
			case deleted:
				o.CreateRev, o.Value = 0, nil
				f.known.Objects--
			case kv.CreateRevision == kv.ModRevision:
				f.known.Objects++
			}
			b.Objects = append(b.Objects, o)
		case KeyPlugins:
			if deleted {
				e.cfg.OnPlugins(nil, kv.ModRevision)
			} else {
				e.cfg.OnPlugins(present(kv.Value), kv.ModRevision)
			}
		}
	}
	f.resume = max(f.resume, m.events[len(m.events)-1].Kv.ModRevision)
	return nil
}

// watching notes that the watch stands.
func (f *follower) watching() {
	f.accepted, f.asked = false, Known{}
	f.e.progress.update(func(s *Status) { s.Synced, s.Regress = true, nil })
	if f.down {
		f.e.cfg.Log.Info("etcd is available again", "revision", f.resume)
	}
	f.down, f.loggedText = false, ""
}

// receive reads the stream until it ends and closes out.
func receive(ctx context.Context, stream etcdserverpb.Watch_WatchClient, out chan<- watchMsg) {
	defer close(out)
	var parts []*mvccpb.Event
	for {
		resp, err := stream.Recv()
		m := watchMsg{}
		switch {
		case err != nil:
			m.err = unavailable("watch", err)
		case resp.Canceled && resp.CompactRevision != 0:
			m.err = rpctypes.ErrCompacted
		case resp.Canceled:
			m.err = unavailable("watch", fmt.Errorf("the server ended the watch: %s", resp.CancelReason))
		case resp.Fragment:
			parts = append(parts, resp.Events...)
			continue
		default:
			m.events, m.rev, m.created = resp.Events, resp.Header.Revision, resp.Created
			m.cluster = resp.Header.ClusterId
			if len(parts) > 0 {
				m.events, parts = append(parts, resp.Events...), nil
			}
		}
		select {
		case out <- m:
		case <-ctx.Done():
			return
		}
		if m.err != nil {
			return
		}
	}
}
