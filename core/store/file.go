package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/sluicegw/sluice/core/conf"
)

var _ Provider = (*File)(nil)

// FileConfig describes a configuration file.
type FileConfig struct {
	// Path of apisix.yaml or apisix.json.
	Path string
	// PollEvery is the pause between two looks at the file's time; default
	// 1 s. inotify usually tells earlier.
	PollEvery time.Duration
	// Lookup finds the values of ${{NAME}}; default os.LookupEnv.
	Lookup func(string) (string, bool)
	// Previous is the configuration of a former run, if there was one: objects
	// that did not change keep its revisions.
	Previous conf.Batch
	// OnPlugins receives the file's plugin list, nil when it has none. Called
	// from Run's goroutine; may be nil.
	OnPlugins func(value []byte, rev int64)
	// Log defaults to slog.Default().
	Log *slog.Logger
}

// File reads the configuration from a file and follows its changes.
type File struct {
	cfg    FileConfig
	format Format
	// objects is what was handed on last, by kind and id.
	objects map[objectKey]conf.Object
	rev     int64
	started bool
	// tried is the digest of the text looked at last, good or bad.
	tried [sha256.Size]byte
	stamp fileStamp

	// mu guards st and is a leaf.
	mu sync.Mutex
	st Status
}

type objectKey struct {
	kind conf.Kind
	id   string
}

// fileStamp changes when the file does.
type fileStamp struct {
	mtime time.Time
	size  int64
	inode os.FileInfo
}

// maxFileBytes bounds a configuration file.
const maxFileBytes = 512 << 20

// FileFormat is the format by the path's extension: JSON for .json, else YAML.
func FileFormat(path string) Format {
	if strings.EqualFold(filepath.Ext(path), ".json") {
		return FormatJSON
	}
	return FormatYAML
}

// ProfilePath puts APISIX_PROFILE's value into a file name: with "dev",
// conf/apisix.yaml becomes conf/apisix-dev.yaml.
func ProfilePath(path, profile string) string {
	if profile == "" {
		return path
	}
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-" + profile + ext
}

// NewFile prepares the provider; the file is first read by Run.
func NewFile(cfg FileConfig) *File {
	if cfg.PollEvery <= 0 {
		cfg.PollEvery = time.Second
	}
	if cfg.Lookup == nil {
		cfg.Lookup = os.LookupEnv
	}
	if cfg.OnPlugins == nil {
		cfg.OnPlugins = func([]byte, int64) {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	f := &File{cfg: cfg, format: FileFormat(cfg.Path), rev: cfg.Previous.Rev, objects: make(map[objectKey]conf.Object)}
	for _, o := range cfg.Previous.Objects {
		f.objects[objectKey{o.Kind, o.ID}] = o
	}
	f.st = Status{Provider: f.format.String(), Endpoints: []EndpointStatus{{Endpoint: cfg.Path}}}
	return f
}

// ReadDocument reads and parses a file once, as "gw test" does.
func ReadDocument(path string, lookup func(string) (string, bool)) (*Document, error) {
	text, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	return parseFile(path, text, lookup)
}

// errNotFinished says that a YAML file lacks its last line.
var errNotFinished = errors.New("the last line is not #END: the file is taken for unfinished and not loaded")

func parseFile(path string, text []byte, lookup func(string) (string, bool)) (*Document, error) {
	format := FileFormat(path)
	if format == FormatYAML && !finished(text) {
		return nil, fmt.Errorf("%s: %w", path, errNotFinished)
	}
	text, err := Substitute(text, lookup)
	if err == nil {
		var d *Document
		if d, err = ParseDocument(text, format); err == nil {
			return d, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", path, err)
}

// finished tells whether the last line that is not empty reads #END.
func finished(text []byte) bool {
	text = bytes.TrimRight(text, " \t\r\n")
	return string(text[bytes.LastIndexByte(text, '\n')+1:]) == "#END"
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("%s: larger than %d MiB", path, maxFileBytes>>20)
	}
	return text, nil
}

// Status implements Provider.
func (f *File) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.st
	s.Endpoints = append([]EndpointStatus(nil), f.st.Endpoints...)
	return s
}

// Run implements Provider.
func (f *File) Run(ctx context.Context, sink func(conf.Batch)) error {
	events, stop := f.notify()
	defer stop()
	poll := time.NewTicker(f.cfg.PollEvery)
	defer poll.Stop()
	// A writer makes several events; the file is read when they pause.
	settle := time.NewTimer(0)
	defer settle.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case ev, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			name := filepath.Base(ev.Name)
			// Kubernetes replaces a mounted file by turning the link ..data.
			if name == filepath.Base(f.cfg.Path) || name == "..data" {
				f.stamp = fileStamp{}
				settle.Reset(20 * time.Millisecond)
			}
		case <-settle.C:
			f.load(sink)
		case <-poll.C:
			if f.changed() {
				f.load(sink)
			}
		}
	}
}

// notify watches the file's directory, since editors replace the file itself.
func (f *File) notify() (<-chan fsnotify.Event, func()) {
	w, err := fsnotify.NewWatcher()
	if err == nil {
		err = w.Add(filepath.Dir(f.cfg.Path))
	}
	if err != nil {
		f.cfg.Log.Warn("changes of the configuration file are seen by polling only", "file", f.cfg.Path, "every", f.cfg.PollEvery, "error", err)
		if w != nil {
			_ = w.Close()
		}
		return nil, func() {}
	}
	var drained sync.WaitGroup
	drained.Go(func() {
		// An overflow of events loses nothing: polling finds the change.
		for range w.Errors {
			continue
		}
	})
	return w.Events, func() {
		_ = w.Close()
		drained.Wait()
	}
}

func (f *File) changed() bool {
	fi, err := os.Stat(f.cfg.Path)
	if err != nil {
		return true // load says why, once
	}
	return f.stamp.inode == nil || !fi.ModTime().Equal(f.stamp.mtime) || fi.Size() != f.stamp.size || !os.SameFile(fi, f.stamp.inode)
}

// load reads the file and hands it on if it differs from what it said before.
func (f *File) load(sink func(conf.Batch)) {
	now := time.Now()
	fi, err := os.Stat(f.cfg.Path)
	var text []byte
	if err == nil {
		f.stamp = fileStamp{fi.ModTime(), fi.Size(), fi}
		text, err = readBounded(f.cfg.Path)
	} else {
		f.stamp = fileStamp{}
	}
	if err != nil {
		f.fail(fmt.Errorf("cannot read the configuration file: %w", err), now)
		f.tried = [sha256.Size]byte{}
		return
	}
	digest := sha256.Sum256(text)
	if digest == f.tried {
		return
	}
	f.tried = digest
	doc, err := parseFile(f.cfg.Path, text, f.cfg.Lookup)
	if err != nil {
		f.fail(err, now)
		return
	}
	for _, p := range doc.Problems {
		f.cfg.Log.Error("a part of the configuration file is left out", "file", f.cfg.Path, "error", p.Error())
	}
	f.hand(doc, fi.ModTime(), sink)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.st.Reachable, f.st.Synced, f.st.LastContact = true, true, now
	f.st.LastError, f.st.LastErrorAt = "", time.Time{}
	f.st.Endpoints[0] = EndpointStatus{Endpoint: f.cfg.Path, Reachable: true}
}

// fail notes a fault, and logs it when it is a new one.
func (f *File) fail(err error, now time.Time) {
	text := err.Error()
	f.mu.Lock()
	fresh := f.st.LastError != text
	f.st.Reachable, f.st.LastError, f.st.LastErrorAt = false, text, now
	f.st.Endpoints[0] = EndpointStatus{Endpoint: f.cfg.Path, Error: text}
	f.mu.Unlock()
	if fresh {
		f.cfg.Log.Error("the configuration file is not loaded; the present configuration keeps serving", "error", text)
	}
}

// hand numbers the document's objects and passes them on as a full batch.
// An object whose text did not change keeps its revision.
func (f *File) hand(doc *Document, mtime time.Time, sink func(conf.Batch)) {
	rev := max(f.rev+1, mtime.UnixMilli())
	next := make(map[objectKey]conf.Object, len(doc.Items))
	b := conf.Batch{Full: true, Objects: make([]conf.Object, 0, len(doc.Items))}
	same := len(doc.Items) == len(f.objects)
	for _, item := range doc.Items {
		o := conf.Object{Kind: item.Kind, ID: item.ID, CreateRev: rev, Rev: rev, Value: item.Value}
		if old, ok := f.objects[objectKey{item.Kind, item.ID}]; ok {
			o.CreateRev = old.CreateRev
			if bytes.Equal(old.Value, o.Value) {
				o = old
			}
		}
		same = same && o.Rev != rev
		next[objectKey{item.Kind, item.ID}] = o
		b.Objects = append(b.Objects, o)
	}
	if same && f.rev > 0 {
		rev = f.rev
	}
	f.cfg.OnPlugins(doc.Plugins, rev)
	if !same || !f.started {
		slices.SortStableFunc(b.Objects, func(a, b conf.Object) int { return cmp.Compare(a.Kind, b.Kind) })
		b.Rev = rev
		sink(b)
		f.cfg.Log.Info("configuration file loaded", "file", f.cfg.Path, "objects", len(b.Objects), "left_out", len(doc.Problems), "revision", rev)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.started && !same {
		f.st.Rereads++
	}
	f.objects, f.rev, f.started = next, rev, true
	f.st.Rev, f.st.StoreRev, f.st.Keys = rev, rev, len(b.Objects)
}
