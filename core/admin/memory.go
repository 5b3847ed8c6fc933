package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/sluicegw/sluice/core/conf"
)

// MemoryConfigs keeps the standalone configuration in memory and hands every
// accepted one on as a full batch. What did not change keeps its revision, so
// that its run-time state (counters, health) survives.
type MemoryConfigs struct {
	mu   sync.Mutex
	doc  Document
	rev  int64
	seen map[objectKey]seenItem
	sink func(context.Context, conf.Batch) error
}

// seenItem is what an object looked like when it last changed.
type seenItem struct {
	index       string
	text        string
	create, rev int64
}

// NewMemoryConfigs returns an empty configuration. sink is called with the
// lock held, one batch at a time; an error refuses the document.
func NewMemoryConfigs(sink func(context.Context, conf.Batch) error) *MemoryConfigs {
	return &MemoryConfigs{sink: sink, seen: make(map[objectKey]seenItem)}
}

// Load returns the loaded document.
func (m *MemoryConfigs) Load() Document {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.doc
}

// Replace implements Configs.
func (m *MemoryConfigs) Replace(ctx context.Context, prev, next Document) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.doc.Digest != prev.Digest {
		return false, nil
	}
	batch, seen := m.batch(&next)
	if err := m.sink(ctx, batch); err != nil {
		return false, err
	}
	m.doc, m.rev, m.seen = next, batch.Rev, seen
	return true, nil
}

// batch turns a document into objects.
func (m *MemoryConfigs) batch(doc *Document) (conf.Batch, map[objectKey]seenItem) {
	batch := conf.Batch{Full: true, Rev: m.rev + 1}
	seen := make(map[objectKey]seenItem, len(m.seen))
	for _, k := range configKinds {
		if k.kind == conf.KindNone {
			continue
		}
		for i, item := range doc.Items[k.key] {
			o, s := m.object(k.kind, i, item, batch.Rev)
			seen[objectKey{o.Kind, o.ID}] = s
			batch.Objects = append(batch.Objects, o)
		}
	}
	return batch, seen
}

func (m *MemoryConfigs) object(kind conf.Kind, i int, item any, rev int64) (conf.Object, seenItem) {
	object, _ := item.(map[string]any)
	id := objectIDOf(kind, i, item)
	if kind == conf.KindConsumer {
		if _, last, nested := cutCredential(id); nested {
			kind = conf.KindCredential
			object = withoutField(object, "id")
			object["id"] = last
		}
	}
	s := seenItem{create: rev, rev: rev}
	if index, ok := object["modifiedIndex"].(json.Number); ok {
		s.index = index.String()
		object = withoutField(object, "modifiedIndex")
	}
	text := compact(object)
	s.text = string(text)
	if old, ok := m.seen[objectKey{kind, id}]; ok {
		s.create = old.create
		if s.index != "" && s.index == old.index {
			// The client's word that nothing changed counts.
			s.rev, s.text, text = old.rev, old.text, []byte(old.text)
		} else if s.text == old.text {
			s.rev = old.rev
		}
	}
	return conf.Object{Kind: kind, ID: id, CreateRev: s.create, Rev: s.rev, Value: text}, s
}

// objectIDOf is an item's id, or its place for one without.
func objectIDOf(kind conf.Kind, i int, item any) string {
	if id, _ := itemID(kind, item); id != "" {
		return id
	}
	return fmt.Sprintf("arr_%d", i+1)
}
