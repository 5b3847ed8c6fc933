package journal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluicegw/sluice/core/store/private"
)

// Config says where the journal is and how much it may hold.
type Config struct {
	// Dir holds the segments, created with mode 0700 when missing. Required.
	Dir string
	// KeyFile encrypts the objects' texts; made when missing. "" keeps them in
	// the clear, in files that only their owner may read.
	KeyFile string
	// MaxBytes bounds all segments together; default 256 MiB. The oldest go.
	MaxBytes int64
	// SegmentBytes is the size at which a new segment starts; default 8 MiB.
	SegmentBytes int64
	// FlushEvery is how long entries may wait in memory; default 500 ms. A
	// crash of the process loses that much; Sync shortens it to nothing.
	FlushEvery time.Duration
	// Log defaults to slog.Default().
	Log *slog.Logger
}

const (
	// maxValues bounds the texts of one entry; of a larger change only the
	// fact is recorded.
	maxValues = 8 << 20
	// maxWaiting bounds the entries in memory; beyond it Append writes them
	// itself, which slows the writer of changes down to the disk's pace.
	maxWaiting = 4 << 20
	// maxAuthors bounds the authors remembered for changes to come.
	maxAuthors = 4096
)

func (c *Config) setDefaults() {
	if c.MaxBytes <= 0 {
		c.MaxBytes = 256 << 20
	}
	if c.SegmentBytes <= 0 {
		c.SegmentBytes = 8 << 20
	}
	c.SegmentBytes = min(c.SegmentBytes, max(c.MaxBytes/4, 4096))
	if c.FlushEvery <= 0 {
		c.FlushEvery = 500 * time.Millisecond
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
}

// aead returns the cipher of the key file, nil without one.
func (c *Config) aead(read func(string) ([]byte, error)) (cipher.AEAD, error) {
	if c.KeyFile == "" {
		return nil, nil
	}
	key, err := read(c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return cipher.NewGCM(block)
}

// Journal appends. It is safe for concurrent use. Several processes may have
// one directory open, since each writes segments of its own.
type Journal struct {
	cfg  Config
	aead cipher.AEAD

	// mu guards all below; writing to the disk happens under it, since the
	// order of entries is what a journal is for.
	mu      sync.Mutex
	buf     []byte
	file    *os.File
	size    int64
	seq     uint64
	lastRev int64
	// writtenRev is the newest revision that is in a file: a segment started
	// now has every change behind it.
	writtenRev int64
	// authors holds the authors of changes still to come, in order of arrival.
	authors map[int64]Actor
	order   []int64
	dirty   bool
	closed  bool
	stats   Stats

	wake chan struct{}
	stop chan struct{}
	done chan struct{}
}

// Stats tell how the writing goes.
type Stats struct {
	// Entries counts the changes appended, Bytes what was written.
	Entries uint64
	Bytes   int64
	// Lost counts entries that could not be written.
	Lost uint64
	// LastError is the newest failure, "" after a success.
	LastError string
}

// Open continues the journal in its directory.
func Open(cfg Config) (*Journal, error) {
	cfg.setDefaults()
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w; choose a writable directory", err)
	}
	aead, err := cfg.aead(private.MakeKey)
	if err != nil {
		return nil, err
	}
	seq, rev, err := lastOf(cfg)
	if err != nil {
		return nil, err
	}
	j := &Journal{cfg: cfg, aead: aead, seq: seq, lastRev: rev, writtenRev: rev, authors: make(map[int64]Actor),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go j.run()
	return j, nil
}

// Append records changes in their order. Rev, Kind, ID, Before and After must
// be set; Seq is given here, At defaults to now, an empty Actor to the one
// that Attribute named for the revision. The texts are copied.
func (j *Journal) Append(entries ...Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return errors.New("journal: it is closed")
	}
	for i := range entries {
		e := &entries[i]
		j.seq++
		l := line{Type: lineChange, Seq: j.seq, Rev: e.Rev, At: micros(e.At), Kind: e.Kind.String(), ID: e.ID}
		actor := e.Actor
		if actor == (Actor{}) {
			actor = j.authors[e.Rev]
		}
		if actor != (Actor{}) {
			l.Actor = &actor
		}
		if len(e.Before)+len(e.After) > maxValues {
			l.TooLarge = true
		} else if err := l.setValues(e.Before, e.After, j.aead); err != nil {
			return fmt.Errorf("journal: %s [%s]: %w", e.Kind, e.ID, err)
		}
		if err := j.add(&l); err != nil {
			return err
		}
		j.lastRev = max(j.lastRev, e.Rev)
		j.stats.Entries++
	}
	return j.relieve()
}

// Attribute names the author of the changes at a revision, whether they are
// recorded already or still to come.
func (j *Journal) Attribute(rev int64, a Actor) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return errors.New("journal: it is closed")
	}
	if rev > j.lastRev {
		if len(j.order) == maxAuthors {
			delete(j.authors, j.order[0])
			j.order = j.order[1:]
		}
		if _, known := j.authors[rev]; !known {
			j.order = append(j.order, rev)
		}
		j.authors[rev] = a
		return nil
	}
	if err := j.add(&line{Type: lineActor, Rev: rev, At: micros(time.Time{}), Actor: &a}); err != nil {
		return err
	}
	return j.relieve()
}

// Gap notes that the changes up to rev are not all recorded: at the very
// start, and after the store was replaced. Differences never reach over a gap.
func (j *Journal) Gap(rev int64, why string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return errors.New("journal: it is closed")
	}
	j.lastRev = rev
	clear(j.authors)
	j.order = j.order[:0]
	if err := j.add(&line{Type: lineGap, Rev: rev, At: micros(time.Time{}), Why: why}); err != nil {
		return err
	}
	return j.relieve()
}

// LastRev is the newest revision recorded, 0 when there is none.
func (j *Journal) LastRev() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lastRev
}

// Stats returns how the writing goes.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stats
}

// Sync puts everything appended so far safely on the disk.
func (j *Journal) Sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.flush(true)
}

// Close syncs and ends the background goroutine.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	j.mu.Unlock()
	close(j.stop)
	<-j.done
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.flush(true)
	if j.file != nil {
		err = errors.Join(err, j.file.Close())
		j.file = nil
	}
	return err
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		t = time.Now()
	}
	return t.UnixMicro()
}

// add puts a line into the buffer; j.mu is held.
func (j *Journal) add(l *line) error {
	var err error
	if j.buf, err = appendLine(j.buf, l); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return nil
}

// relieve writes when too much waits; j.mu is held.
func (j *Journal) relieve() error {
	if len(j.buf) > maxWaiting {
		return j.flush(false)
	}
	return nil
}

func (j *Journal) run() {
	defer close(j.done)
	t := time.NewTimer(0)
	<-t.C
	for {
		select {
		case <-j.stop:
			return
		case <-j.wake:
		}
		t.Reset(j.cfg.FlushEvery)
		select {
		case <-j.stop:
			t.Stop()
			return
		case <-t.C:
		}
		// The error is kept in the statistics and logged there.
		_ = j.Sync()
	}
}

// flush writes the buffer and starts a new segment when the present one is
// full; j.mu is held.
func (j *Journal) flush(sync bool) error {
	err := j.write(sync)
	if err == nil {
		j.stats.LastError = ""
		return nil
	}
	err = fmt.Errorf("journal: cannot write to %s: %w", j.cfg.Dir, err)
	if j.stats.LastError == "" {
		j.cfg.Log.Error("changes of the configuration are not recorded", "error", err)
	}
	j.stats.LastError = err.Error()
	// The next try starts a segment of its own: this one may end in half a
	// line. What waits is kept up to its bound.
	if j.file != nil {
		_ = j.file.Close()
		j.file = nil
	}
	if len(j.buf) > maxWaiting {
		j.stats.Lost += uint64(bytes.Count(j.buf, []byte{'\n'}))
		j.buf, _ = appendLine(nil, &line{Type: lineGap, Rev: j.lastRev, At: micros(time.Time{}), Why: "the disk did not take the entries"})
	}
	return err
}

func (j *Journal) write(sync bool) error {
	if len(j.buf) > 0 {
		if j.file == nil || j.size >= j.cfg.SegmentBytes {
			if err := j.rotate(); err != nil {
				return err
			}
		}
		n, err := j.file.Write(j.buf)
		j.size += int64(n)
		j.stats.Bytes += int64(n)
		if err != nil {
			return err
		}
		j.buf, j.dirty, j.writtenRev = j.buf[:0], true, j.lastRev
		if cap(j.buf) > maxWaiting {
			j.buf = nil
		}
	}
	if sync && j.dirty {
		if err := j.file.Sync(); err != nil {
			return err
		}
		j.dirty = false
	}
	return nil
}

// rotate starts a new segment and removes the oldest ones.
func (j *Journal) rotate() error {
	if j.file != nil {
		if err := j.file.Sync(); err != nil {
			return err
		}
		if err := j.file.Close(); err != nil {
			return err
		}
		j.file = nil
	}
	segments, err := segmentsOf(j.cfg.Dir)
	if err != nil {
		return err
	}
	name := time.Now().UnixNano()
	if n := len(segments); n > 0 && name <= segments[n-1].number {
		name = segments[n-1].number + 1
	}
	head, err := appendLine(nil, &line{Type: lineSegment, Seq: j.seq, Rev: j.writtenRev, At: micros(time.Time{})})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(j.cfg.Dir, segmentName(name)), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(head); err != nil {
		_ = f.Close()
		return err
	}
	j.file, j.size, j.dirty = f, int64(len(head)), true
	if err := private.SyncDir(j.cfg.Dir); err != nil {
		return err
	}
	total := j.cfg.SegmentBytes // the new one will grow to about this
	for i := len(segments) - 1; i >= 0; i-- {
		if total += segments[i].size; total > j.cfg.MaxBytes {
			if err := os.Remove(filepath.Join(j.cfg.Dir, segmentName(segments[i].number))); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
