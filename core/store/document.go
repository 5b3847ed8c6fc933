package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluicegw/sluice/core/conf"
)

// Format is the syntax of a configuration document.
type Format uint8

// The formats of a document.
const (
	FormatYAML Format = iota
	FormatJSON
)

// String is the format's name as a provider ("yaml", "json").
func (f Format) String() string {
	if f == FormatJSON {
		return "json"
	}
	return "yaml"
}

// Document is a whole configuration in one text: apisix.yaml, apisix.json, or
// the body of a request to /apisix/admin/configs. An array per resource kind.
type Document struct {
	Items []DocumentItem
	// Problems are the items left out and the keys without meaning, in the
	// order of the text.
	Problems []DocumentProblem
	// Plugins is the JSON of the plugin list, nil when the document has none.
	Plugins []byte
	// Has tells which kinds the document names at all. Credentials ride with
	// the consumers.
	Has [conf.NumKinds]bool
	// Versions holds the "<kind>_conf_version" numbers.
	Versions map[conf.Kind]int64
}

// DocumentItem is one resource of a document.
type DocumentItem struct {
	Kind conf.Kind
	ID   string
	// Value is compact JSON.
	Value []byte
	// Index is the position in its array, from 0; Line the line in the text,
	// from 1.
	Index, Line int
	// ModifiedIndex is the item's own "modifiedIndex", 0 without one. It is
	// taken out of Value.
	ModifiedIndex int64
}

// DocumentProblem is something in a document that is not used.
type DocumentProblem struct {
	// Section is the top-level key, Index the item's position in it or -1.
	Section string
	Index   int
	// ID is the item's id as far as it is known.
	ID   string
	Line int
	Err  error
}

// Error names the item, its line and the reason.
func (p DocumentProblem) Error() string {
	where := p.Section
	if p.Index >= 0 {
		where = fmt.Sprintf("%s[%d]", p.Section, p.Index)
	}
	if p.ID != "" {
		where += fmt.Sprintf(" (id %s)", p.ID)
	}
	return fmt.Sprintf("line %d: %s: %v", p.Line, where, p.Err)
}

// Unwrap returns the reason.
func (p DocumentProblem) Unwrap() error { return p.Err }

// section is one top-level key with its items.
type section struct {
	name  string
	line  int
	array bool
	// raw is the value of a section that is no resource kind.
	raw   []byte
	items []sectionItem
}

type sectionItem struct {
	line  int
	value []byte
	err   error
}

// versionSuffix ends the keys that number a kind's state.
const versionSuffix = "_conf_version"

// ParseDocument reads a document. An error means that the text as a whole is
// unusable and names the line; single bad items are left out and reported as
// problems.
func ParseDocument(text []byte, format Format) (*Document, error) {
	var sections []section
	var err error
	if format == FormatJSON {
		sections, err = jsonSections(text)
	} else {
		sections, err = yamlSections(text)
	}
	if err != nil {
		return nil, err
	}
	d := &Document{Versions: make(map[conf.Kind]int64)}
	seen := make(map[string]int, len(sections))
	for _, s := range sections {
		if line, dup := seen[s.name]; dup {
			return nil, fmt.Errorf("line %d: %q is there already in line %d; join the two", s.line, s.name, line)
		}
		seen[s.name] = s.line
		if err := d.addSection(s); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *Document) addSection(s section) error {
	if s.name == pluginsKey || s.name == "stream_plugins" {
		if s.name == pluginsKey {
			d.Plugins = s.raw
		}
		return nil
	}
	if dir, ok := strings.CutSuffix(s.name, versionSuffix); ok {
		if kind := kindByDir[dir]; kind != conf.KindNone {
			var v int64
			if err := json.Unmarshal(s.raw, &v); err != nil || v < 0 {
				return fmt.Errorf("line %d: %s is not a whole number of at least 0", s.line, s.name)
			}
			d.Versions[kind] = v
			return nil
		}
	}
	kind := kindByDir[s.name]
	if kind == conf.KindNone {
		d.Problems = append(d.Problems, DocumentProblem{Section: s.name, Index: -1, Line: s.line,
			Err: errors.New("no such kind of resource; the key is ignored")})
		return nil
	}
	if !s.array {
		// An array that is no array is a mistake of layout; taking it for an
		// empty one would remove every object of the kind.
		if !bytes.Equal(s.raw, []byte("null")) {
			return fmt.Errorf("line %d: %s is not an array of objects; write each as \"- ...\" below it", s.line, s.name)
		}
	}
	d.Has[kind] = true
	ids := make(map[string]int, len(s.items))
	for i, raw := range s.items {
		item, err := readItem(kind, i, raw)
		if err == nil {
			if line, dup := ids[item.ID]; dup {
				err = fmt.Errorf("the id is taken by the one in line %d", line)
			} else {
				ids[item.ID] = raw.line
			}
		}
		if err != nil {
			d.Problems = append(d.Problems, DocumentProblem{Section: s.name, Index: i, ID: item.ID, Line: raw.line, Err: err})
			continue
		}
		if item.Kind == conf.KindCredential {
			d.Has[conf.KindCredential] = true
		}
		d.Items = append(d.Items, item)
	}
	return nil
}

// readItem finds an item's id: its "id", else its "username", else its place.
func readItem(kind conf.Kind, index int, raw sectionItem) (DocumentItem, error) {
	item := DocumentItem{Kind: kind, Index: index, Line: raw.line, Value: raw.value}
	if raw.err != nil {
		return item, raw.err
	}
	var head struct {
		ID            json.RawMessage `json:"id"`
		Username      *string         `json:"username"`
		ModifiedIndex json.RawMessage `json:"modifiedIndex"`
	}
	if len(raw.value) == 0 || raw.value[0] != '{' {
		return item, errors.New("it is not an object")
	}
	if err := json.Unmarshal(raw.value, &head); err != nil {
		return item, fmt.Errorf("id and username: %w", err)
	}
	var err error
	switch {
	case len(head.ID) > 0 && string(head.ID) != "null":
		item.ID, err = idText(head.ID)
	case head.Username != nil && *head.Username != "":
		item.ID = *head.Username
	default:
		item.ID = fmt.Sprintf("arr_%d", index+1)
	}
	if err != nil {
		return item, err
	}
	if kind == conf.KindConsumer && isCredentialID(item.ID) {
		item.Kind = conf.KindCredential
	}
	if !checkID(item.Kind, item.ID) {
		if kind == conf.KindSecret {
			return item, errors.New("a secret's id reads <manager>/<id>, such as vault/1")
		}
		return item, errors.New("this is no id of such an object")
	}
	if len(head.ModifiedIndex) > 0 {
		if err := json.Unmarshal(head.ModifiedIndex, &item.ModifiedIndex); err != nil {
			return item, errors.New("modifiedIndex is not a whole number")
		}
		if item.Value, err = dropField(raw.value, "modifiedIndex"); err != nil {
			return item, err
		}
	}
	return item, nil
}

// idText accepts a text or a whole number.
func idText(raw json.RawMessage) (string, error) {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		if s == "" {
			return "", errors.New("the id is empty")
		}
		return s, nil
	}
	var n int64
	if err := json.Unmarshal(raw, &n); err != nil || n < 1 {
		return "", errors.New("the id is neither a text nor a whole number of at least 1")
	}
	return fmt.Sprint(n), nil
}

// dropField removes one field of an object and keeps the others' order.
func dropField(obj []byte, field string) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(obj))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	out := []byte{'{'}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return nil, err
		}
		if key == field {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = appendString(out, fmt.Sprint(key))
		out = append(append(out, ':'), v...)
	}
	return append(out, '}'), nil
}

func yamlSections(text []byte) ([]section, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null" {
		return nil, nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: the document is not a mapping of resource kinds (routes:, upstreams:, ...)", root.Line)
	}
	enc := newYAMLEncoder(text)
	var out []section
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		s := section{name: key.Value, line: key.Line}
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if value.Kind == yaml.SequenceNode && kindByDir[s.name] != conf.KindNone {
			s.array = true
			for _, n := range value.Content {
				v, err := enc.encode(n)
				s.items = append(s.items, sectionItem{line: n.Line, value: v, err: err})
			}
		} else {
			v, err := enc.encode(value)
			if err != nil {
				return nil, fmt.Errorf("line %d: %s: %w", value.Line, s.name, err)
			}
			s.raw = v
		}
		out = append(out, s)
	}
	return out, nil
}

func jsonSections(text []byte) ([]section, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	lines := lineCounter{text: text}
	fail := func(err error) error {
		var syntax *json.SyntaxError
		at := dec.InputOffset()
		if errors.As(err, &syntax) {
			at = syntax.Offset
		}
		return fmt.Errorf("line %d: %w", lines.at(at), err)
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, fail(err)
	}
	if tok != json.Delim('{') {
		return nil, errors.New("line 1: the document is not an object of resource kinds ({\"routes\": [...], ...})")
	}
	var out []section
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, fail(err)
		}
		s := section{name: fmt.Sprint(tok), line: lines.at(dec.InputOffset())}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, fail(err)
		}
		if raw[0] == '[' && kindByDir[s.name] != conf.KindNone {
			s.array = true
			if s.items, err = jsonItems(raw, &lines, dec.InputOffset()-int64(len(raw))); err != nil {
				return nil, fail(err)
			}
		} else {
			s.raw = compact(raw)
		}
		out = append(out, s)
	}
	if _, err := dec.Token(); err != nil {
		return nil, fail(err)
	}
	if dec.More() {
		return nil, fmt.Errorf("line %d: there is text behind the end of the document", lines.at(dec.InputOffset()))
	}
	return out, nil
}

// jsonItems splits an array that starts at offset base of the document.
func jsonItems(array []byte, lines *lineCounter, base int64) ([]sectionItem, error) {
	dec := json.NewDecoder(bytes.NewReader(array))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	var out []sectionItem
	for dec.More() {
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return nil, err
		}
		out = append(out, sectionItem{line: lines.at(base + dec.InputOffset() - int64(len(v))), value: compact(v)})
	}
	return out, nil
}

func compact(v []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(v))
	if err := json.Compact(&b, v); err != nil {
		return v
	}
	return b.Bytes()
}

// lineCounter turns ascending offsets into line numbers in one pass.
type lineCounter struct {
	text []byte
	pos  int64
	line int
}

func (l *lineCounter) at(offset int64) int {
	offset = min(offset, int64(len(l.text)))
	if offset < l.pos {
		l.pos, l.line = 0, 0
	}
	l.line += bytes.Count(l.text[l.pos:offset], []byte{'\n'})
	l.pos = offset
	return l.line + 1
}
