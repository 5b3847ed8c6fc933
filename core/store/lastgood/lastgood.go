// Package lastgood keeps the last good configuration on the disk, so that a
// gateway whose store is down starts with it.
//
// A base file holds a whole configuration and is replaced atomically; a delta
// file beside it holds what changed since, so that a change costs what it
// weighs and not what the configuration weighs. Both are encrypted, since
// configurations hold keys and passwords.
package lastgood

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/store/private"
)

// Config says where the files are.
type Config struct {
	// Dir holds the files, created with mode 0700 when missing. Required.
	Dir string
	// WriteEvery is the shortest time between two writes; default 2 s. A crash
	// of the host loses the changes of that time, which the store still has.
	WriteEvery time.Duration
	// ConfirmEvery is how often a state that did not change is noted to be
	// still good; default 1 min. It bounds the error of Loaded.Age.
	ConfirmEvery time.Duration
	// BeforeWrite runs before each write; its error puts the write off. The
	// journal is synced here, so that it never lacks a change that this file
	// already has. May be nil.
	BeforeWrite func() error
	// Log defaults to slog.Default().
	Log *slog.Logger
}

func (c *Config) setDefaults() {
	if c.WriteEvery <= 0 {
		c.WriteEvery = 2 * time.Second
	}
	if c.ConfirmEvery <= 0 {
		c.ConfirmEvery = time.Minute
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
}

func (c *Config) base() string  { return filepath.Join(c.Dir, "lastgood.base") }
func (c *Config) delta() string { return filepath.Join(c.Dir, "lastgood.delta") }
func (c *Config) key() string   { return filepath.Join(c.Dir, "lastgood.key") }
func (c *Config) lock() string  { return filepath.Join(c.Dir, "lastgood.lock") }

type objectKey struct {
	kind conf.Kind
	id   string
}

// Loaded is a configuration read back.
type Loaded struct {
	// Batch is the whole configuration, in the order of a first load.
	Batch conf.Batch
	// At is when the store was last known to hold it.
	At time.Time
	// Cluster is the etcd cluster's id, 0 when it came from elsewhere.
	Cluster uint64
	// Torn says why the newest changes are missing, "" when they are not.
	Torn string
}

// Age is how old the configuration is.
func (l *Loaded) Age(now time.Time) time.Duration { return max(now.Sub(l.At), 0) }

// Load reads the last good configuration. errors.Is(err, os.ErrNotExist) when
// there is none; ErrDamaged, ErrWrongKey or ErrVersion when it cannot be used.
// Nothing is ever loaded in part: changes whose writing was cut off leave the
// configuration as it was before them.
func Load(cfg Config) (*Loaded, error) {
	cfg.setDefaults()
	if _, err := os.Stat(cfg.base()); err != nil {
		return nil, fmt.Errorf("last good configuration: %w", err)
	}
	key, err := private.ReadKey(cfg.key())
	if err != nil {
		return nil, err
	}
	objects := make(map[objectKey]conf.Object)
	var st state
	var generation [16]byte
	err = readFile(cfg.base(), func(r io.Reader) error {
		h, s, err := openRecords(r, key, typeBase)
		if err != nil {
			return err
		}
		generation = h.generation
		return readBase(r, s, objects, &st)
	})
	if err != nil {
		return nil, fmt.Errorf("last good configuration %s: %w", cfg.base(), err)
	}
	l := &Loaded{}
	err = readFile(cfg.delta(), func(r io.Reader) error {
		h, s, err := openRecords(r, key, typeDelta)
		if err != nil || h.generation != generation {
			return err // another base's delta is no fault
		}
		return readDelta(r, s, objects, &st)
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.Torn = fmt.Sprintf("%s: %v", cfg.delta(), err)
		cfg.Log.Warn("the newest changes of the last good configuration are lost", "file", cfg.delta(), "error", err, "revision", st.rev)
	}
	l.At, l.Cluster = st.at, st.cluster
	l.Batch = conf.Batch{Full: true, Rev: st.rev, Objects: sorted(objects)}
	return l, nil
}

// sorted lists the objects in the order of a first load.
func sorted(objects map[objectKey]conf.Object) []conf.Object {
	out := make([]conf.Object, 0, len(objects))
	for _, o := range objects {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b conf.Object) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.ID, b.ID))
	})
	return out
}

func readFile(path string, f func(io.Reader) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return f(bufio.NewReaderSize(file, 1<<20))
}

func openRecords(r io.Reader, key []byte, typ fileType) (*header, *sealer, error) {
	var b [headerSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return nil, nil, fmt.Errorf("%w: it is shorter than its header", ErrDamaged)
	}
	h, err := decodeHeader(b[:])
	if err != nil {
		return nil, nil, err
	}
	if h.typ != typ {
		return nil, nil, fmt.Errorf("%w: it is of type %d instead of %d", ErrDamaged, h.typ, typ)
	}
	s, err := newSealer(key, h)
	return h, s, err
}

// readBase needs every record and the state at the end.
func readBase(r io.Reader, s *sealer, objects map[objectKey]conf.Object, st *state) error {
	for {
		plain, err := s.next(r)
		if err == io.EOF {
			return fmt.Errorf("%w: its end is missing", ErrDamaged)
		}
		if err != nil {
			return err
		}
		d := decoder{b: plain}
		switch recordType(d.byte()) {
		case recordObjects:
			for len(d.b) > 0 {
				o := d.object()
				objects[objectKey{o.Kind, o.ID}] = o
			}
		case recordState:
			*st = d.state()
			if !d.bad && len(objects) != st.objects {
				return fmt.Errorf("%w: %d objects instead of %d", ErrDamaged, len(objects), st.objects)
			}
			if !d.bad {
				return nil
			}
		default:
			d.bad = true
		}
		if d.bad {
			return fmt.Errorf("%w: a record does not decode", ErrDamaged)
		}
	}
}

// readDelta applies groups of changes, each closed by a state; a group that is
// not whole is left out.
func readDelta(r io.Reader, s *sealer, objects map[objectKey]conf.Object, st *state) error {
	var group []conf.Object
	for {
		plain, err := s.next(r)
		if err == io.EOF {
			if len(group) > 0 {
				return fmt.Errorf("%w: it ends within a change", ErrDamaged)
			}
			return nil
		}
		if err != nil {
			return err
		}
		d := decoder{b: plain}
		switch recordType(d.byte()) {
		case recordObjects:
			for len(d.b) > 0 {
				group = append(group, d.object())
			}
		case recordState:
			next := d.state()
			if d.bad {
				break
			}
			for _, o := range group {
				if o.Deleted() {
					delete(objects, objectKey{o.Kind, o.ID})
				} else {
					objects[objectKey{o.Kind, o.ID}] = o
				}
			}
			group, *st = group[:0], next
		default:
			d.bad = true
		}
		if d.bad {
			return fmt.Errorf("%w: a record does not decode", ErrDamaged)
		}
	}
}
