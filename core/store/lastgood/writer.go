package lastgood

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store/private"
)

// Writer keeps the files up to date. Apply and Confirm only touch memory; one
// background goroutine writes. Safe for concurrent use.
type Writer struct {
	cfg Config
	key []byte

	// mu guards what Apply and Confirm say. Writing holds io, and mu only to
	// copy. Order: io, mu.
	mu      sync.Mutex
	objects map[objectKey]conf.Object
	dirty   map[objectKey]struct{}
	st      state
	known   bool
	// changed tells that dirty or the revision changed, confirmed that only
	// the time did.
	changed, confirmed bool
	stats              Stats

	io         sync.Mutex
	lock       *os.File
	generation [16]byte
	delta      *os.File
	sealer     *sealer
	baseBytes  int64
	deltaBytes int64
	written    time.Time
	waiting    bool

	wake chan struct{}
	stop chan struct{}
	done chan struct{}
	once sync.Once
}

// Stats tell how the writing goes.
type Stats struct {
	// Rev and At are the state that is safe on the disk.
	Rev int64
	At  time.Time
	// Bases and Deltas count the writes, Bytes what they wrote.
	Bases, Deltas uint64
	Bytes         int64
	// Pending is the number of objects not yet written.
	Pending int
	// LastError is the newest failure, "" after a success.
	LastError string
}

// minDelta is the size below which a delta is never merged into a new base.
const minDelta = 1 << 20

// Open prepares writing and makes the key file when there is none. It does
// not read or change the configuration on the disk: the first write replaces it.
func Open(cfg Config) (*Writer, error) {
	cfg.setDefaults()
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("last good configuration: %w; choose a writable directory", err)
	}
	key, err := private.MakeKey(cfg.key())
	if err != nil {
		return nil, err
	}
	w := &Writer{
		cfg: cfg, key: key,
		objects: make(map[objectKey]conf.Object), dirty: make(map[objectKey]struct{}),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go w.run()
	return w, nil
}

// Apply takes over a batch of good objects. cluster is the etcd cluster's id,
// 0 for other sources. The objects' values are kept and must not be written to.
func (w *Writer) Apply(b conf.Batch, cluster uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if b.Full {
		named := make(map[objectKey]struct{}, len(b.Objects))
		for i := range b.Objects {
			named[objectKey{b.Objects[i].Kind, b.Objects[i].ID}] = struct{}{}
		}
		for k := range w.objects {
			if _, ok := named[k]; !ok {
				delete(w.objects, k)
				w.dirty[k] = struct{}{}
			}
		}
	}
	for _, o := range b.Objects {
		k := objectKey{o.Kind, o.ID}
		old, had := w.objects[k]
		switch {
		case o.Deleted() && had:
			delete(w.objects, k)
		case o.Deleted() || had && old.Rev == o.Rev && bytes.Equal(old.Value, o.Value):
			// Values are compared too: a store that was wiped counts its
			// revisions from the start again.
			continue
		default:
			w.objects[k] = o
		}
		w.dirty[k] = struct{}{}
	}
	w.st = state{rev: b.Rev, at: time.Now(), cluster: cluster, objects: len(w.objects)}
	w.known, w.changed = true, true
	w.signal()
}

// Confirm notes that the store still holds the state applied last, at a
// revision that may be newer.
func (w *Writer) Confirm(rev int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known {
		w.st.rev, w.st.at = max(w.st.rev, rev), time.Now()
		w.confirmed = true
		w.signal()
	}
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Stats returns how the writing goes.
func (w *Writer) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Pending = len(w.dirty)
	return s
}

// Close writes what is pending and ends the goroutine.
func (w *Writer) Close() error {
	w.once.Do(func() { close(w.stop) })
	<-w.done
	err := w.Flush()
	w.io.Lock()
	defer w.io.Unlock()
	if w.delta != nil {
		err = errors.Join(err, w.delta.Close())
		w.delta = nil
	}
	if w.lock != nil {
		err = errors.Join(err, w.lock.Close())
		w.lock = nil
	}
	return err
}

func (w *Writer) run() {
	defer close(w.done)
	for {
		select {
		case <-w.stop:
			return
		case <-w.wake:
		}
		w.mu.Lock()
		wait := w.cfg.WriteEvery
		if !w.changed {
			wait = w.cfg.ConfirmEvery
		}
		w.mu.Unlock()
		w.io.Lock()
		wait -= time.Since(w.written)
		w.io.Unlock()
		if !w.pause(wait) {
			return
		}
		if w.Flush() != nil {
			// A full disk is tried again in a while, or with the next change.
			if !w.pause(w.cfg.WriteEvery) {
				return
			}
			w.signal()
		}
	}
}

// pause waits; a change that comes while only a confirmation was due ends the
// wait early.
func (w *Writer) pause(d time.Duration) bool {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	for {
		select {
		case <-w.stop:
			return false
		case <-t.C:
			return true
		case <-w.wake:
			w.mu.Lock()
			changed := w.changed
			w.mu.Unlock()
			if changed && d > w.cfg.WriteEvery {
				d = w.cfg.WriteEvery
				t.Reset(d)
			}
		}
	}
}

// Flush writes what is pending now. It returns an error when that failed; the
// changes stay pending then.
func (w *Writer) Flush() error {
	w.io.Lock()
	defer w.io.Unlock()
	w.mu.Lock()
	due := w.changed || w.confirmed
	w.mu.Unlock()
	if !due {
		return nil
	}
	if err := w.acquire(); err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.stats.LastError = err.Error()
		return err
	}
	w.written = time.Now()
	err := w.write()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("last good configuration: cannot write to %s: %w", w.cfg.Dir, err)
		if w.stats.LastError == "" {
			w.cfg.Log.Error("the last good configuration is not up to date on the disk", "error", err)
		}
		w.stats.LastError = err.Error()
		return err
	}
	w.stats.LastError = ""
	return nil
}

// errBusy says that a former process still writes the files.
var errBusy = errors.New("last good configuration: another process writes the files")

// acquire makes this process the only writer. During an upgrade the former
// process may hold the files for a while; changes stay pending until it ends.
func (w *Writer) acquire() error {
	if w.lock != nil {
		return nil
	}
	f, err := os.OpenFile(w.cfg.lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("last good configuration: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if !w.waiting {
			w.waiting = true
			w.cfg.Log.Info("another process still writes the last good configuration; waiting for it", "dir", w.cfg.Dir)
		}
		return errBusy
	}
	w.lock, w.waiting = f, false
	// What a crash left of half-written files.
	if old, err := filepath.Glob(filepath.Join(w.cfg.Dir, ".lastgood.*-*")); err == nil {
		for _, name := range old {
			_ = os.Remove(name)
		}
	}
	return nil
}

// write appends to the delta, or replaces the base when there is none of ours
// yet or the delta has grown too large. w.io is held.
func (w *Writer) write() error {
	w.mu.Lock()
	st := w.st
	st.objects = len(w.objects)
	dirty := w.dirty
	whole := w.sealer == nil || w.deltaBytes > max(w.baseBytes/2, minDelta)
	var objects []conf.Object
	if whole {
		objects = make([]conf.Object, 0, len(w.objects))
		for _, o := range w.objects {
			objects = append(objects, o)
		}
	} else {
		objects = make([]conf.Object, 0, len(dirty))
		for k := range dirty {
			o, ok := w.objects[k]
			if !ok {
				o = conf.Object{Kind: k.kind, ID: k.id, Rev: st.rev}
			}
			objects = append(objects, o)
		}
	}
	w.dirty = make(map[objectKey]struct{})
	w.changed, w.confirmed = false, false
	w.mu.Unlock()

	var n int64
	var err error
	if w.cfg.BeforeWrite != nil {
		err = w.cfg.BeforeWrite()
	}
	switch {
	case err != nil:
	case whole:
		n, err = w.writeBase(objects, st)
	default:
		n, err = w.appendDelta(objects, st)
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		// The delta may end in half a record: only a new base is safe now.
		w.sealer = nil
		for k := range dirty {
			w.dirty[k] = struct{}{}
		}
		w.changed = true
		return err
	}
	w.stats.Rev, w.stats.At, w.stats.Bytes = st.rev, st.at, w.stats.Bytes+n
	if whole {
		w.stats.Bases++
	} else {
		w.stats.Deltas++
	}
	return nil
}

func newHeader(typ fileType, generation [16]byte) *header {
	h := &header{typ: typ, generation: generation, created: time.Now()}
	// rand.Read never fails: it ends the program instead.
	_, _ = rand.Read(h.salt[:])
	return h
}

func (w *Writer) writeBase(objects []conf.Object, st state) (int64, error) {
	var generation [16]byte
	_, _ = rand.Read(generation[:])
	h := newHeader(typeBase, generation)
	s, err := newSealer(w.key, h)
	if err != nil {
		return 0, err
	}
	var n int64
	tmp, err := private.WriteTemp(w.cfg.base(), func(out io.Writer) error {
		b := bufio.NewWriterSize(out, 1<<20)
		if _, err := b.Write(s.header); err != nil {
			return err
		}
		m, err := writeGroup(b, s, objects, st)
		n = m + int64(len(s.header))
		if err != nil {
			return err
		}
		return b.Flush()
	})
	if err != nil {
		return 0, err
	}
	if err := os.Rename(tmp, w.cfg.base()); err != nil {
		_ = os.Remove(tmp)
		return 0, err
	}
	if w.delta != nil {
		_ = w.delta.Close()
		w.delta = nil
	}
	w.generation, w.baseBytes, w.deltaBytes = generation, n, 0
	// The former delta names another generation and is ignored from here on.
	w.sealer = s
	return n, private.SyncDir(w.cfg.Dir)
}

func (w *Writer) appendDelta(objects []conf.Object, st state) (int64, error) {
	if w.delta == nil {
		return w.startDelta(objects, st)
	}
	b := bufio.NewWriterSize(w.delta, 64<<10)
	n, err := writeGroup(b, w.sealer, objects, st)
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = w.delta.Sync()
	}
	w.deltaBytes += n
	return n, err
}

// startDelta makes the delta of the present base, with its first changes.
func (w *Writer) startDelta(objects []conf.Object, st state) (int64, error) {
	s, err := newSealer(w.key, newHeader(typeDelta, w.generation))
	if err != nil {
		return 0, err
	}
	var n int64
	tmp, err := private.WriteTemp(w.cfg.delta(), func(out io.Writer) error {
		b := bufio.NewWriterSize(out, 64<<10)
		if _, err := b.Write(s.header); err != nil {
			return err
		}
		m, err := writeGroup(b, s, objects, st)
		n = m + int64(len(s.header))
		if err != nil {
			return err
		}
		return b.Flush()
	})
	if err != nil {
		return 0, err
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil {
		err = os.Rename(tmp, w.cfg.delta())
	}
	if err == nil {
		err = private.SyncDir(w.cfg.Dir)
	}
	if err != nil {
		_ = os.Remove(tmp)
		if f != nil {
			_ = f.Close()
		}
		return 0, err
	}
	w.delta, w.sealer, w.deltaBytes = f, s, n
	return n, nil
}

// writeGroup writes the objects in records of a chunk's size, and the state
// that closes the group.
func writeGroup(out io.Writer, s *sealer, objects []conf.Object, st state) (int64, error) {
	var n int64
	var plain, sealed []byte
	emit := func() error {
		sealed = s.record(sealed[:0], plain)
		n += int64(len(sealed))
		_, err := out.Write(sealed)
		return err
	}
	for i := range objects {
		if len(plain) == 0 {
			plain = append(plain, byte(recordObjects))
		}
		if plain = appendObject(plain, &objects[i]); len(plain) >= chunkBytes || i == len(objects)-1 {
			if err := emit(); err != nil {
				return n, err
			}
			plain = plain[:0]
		}
	}
	plain = appendState(plain, st)
	return n, emit()
}
