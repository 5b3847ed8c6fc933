// Package journal records every accepted change of the configuration: who,
// when, what, and the object before and after, so that history, differences
// and rollbacks can be built on it.
package journal

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/sluicegw/sluice/core/conf"
)

// Actor is who made a change.
type Actor struct {
	// Name is the admin key's name, or what else stands for the author.
	Name string `json:"name,omitempty"`
	// Addr is the remote address.
	Addr string `json:"addr,omitempty"`
	// Via is the way it came: "admin", "etcd", "file", "rollback", "resync".
	Via string `json:"via,omitempty"`
}

// Entry is one change of one object.
type Entry struct {
	// Seq numbers the entries of one journal; later ones are larger.
	Seq  uint64
	Rev  int64
	At   time.Time
	Kind conf.Kind
	ID   string
	// Before and After are the object's stored text; nil when it did not or
	// does not exist.
	Before, After []byte
	Actor         Actor
	// Withheld tells that Before and After are there but could not be read:
	// too large to be kept, or the key is missing.
	Withheld bool
}

// line is one record as it stands in a segment: a checksum, a blank and this
// as JSON. Lines can be told apart after any damage, and read by people.
type line struct {
	Type string `json:"t"`
	Seq  uint64 `json:"seq,omitempty"`
	Rev  int64  `json:"rev"`
	// At is in microseconds since 1970.
	At    int64  `json:"at"`
	Kind  string `json:"kind,omitempty"`
	ID    string `json:"id,omitempty"`
	Actor *Actor `json:"who,omitempty"`
	// Values is the plain form, Sealed the encrypted one.
	Values *values `json:"values,omitempty"`
	Sealed []byte  `json:"sealed,omitempty"`
	// TooLarge stands for values that were not kept.
	TooLarge bool `json:"too_large,omitempty"`
	// Why belongs to a gap.
	Why string `json:"why,omitempty"`
}

// The types of lines.
const (
	// lineSegment heads a segment: every change behind Rev is in it or in a
	// later one. Rev 0 means that this is not known.
	lineSegment = "segment"
	lineChange  = "change"
	// lineActor names the author of the changes at Rev.
	lineActor = "actor"
	// lineGap says that changes up to Rev may be missing.
	lineGap = "gap"
	// lineDamaged stands in memory for a line that cannot be read.
	lineDamaged = "damaged"
)

// values holds the texts: as JSON when they are, so that they can be read, and
// as base64 when they are not.
type values struct {
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	// RawBefore and RawAfter are set instead for what is no JSON.
	RawBefore []byte `json:"raw_before,omitempty"`
	RawAfter  []byte `json:"raw_after,omitempty"`
	// EmptyBefore and EmptyAfter tell an empty text from a missing one.
	EmptyBefore bool `json:"empty_before,omitempty"`
	EmptyAfter  bool `json:"empty_after,omitempty"`
}

func pack(before, after []byte) values {
	var v values
	set := func(text []byte, plain *json.RawMessage, raw *[]byte, empty *bool) {
		switch {
		case text == nil:
		case len(text) == 0:
			*empty = true
		case canonical(text):
			*plain = text
		default:
			*raw = text
		}
	}
	set(before, &v.Before, &v.RawBefore, &v.EmptyBefore)
	set(after, &v.After, &v.RawAfter, &v.EmptyAfter)
	return v
}

// canonical tells whether text comes back byte for byte when it is embedded
// in a line: the encoder compacts it and escapes <, > and &.
func canonical(text []byte) bool {
	if !json.Valid(text) || string(text) == "null" {
		return false
	}
	b, err := json.Marshal(json.RawMessage(text))
	return err == nil && bytes.Equal(b, text)
}

func (v *values) unpack() (before, after []byte) {
	get := func(plain json.RawMessage, raw []byte, empty bool) []byte {
		switch {
		case empty:
			return []byte{}
		case plain != nil:
			return plain
		case raw != nil:
			return raw
		}
		return nil
	}
	return get(v.Before, v.RawBefore, v.EmptyBefore), get(v.After, v.RawAfter, v.EmptyAfter)
}

// sealedFor is what the encryption of values is bound to.
func (l *line) sealedFor() []byte {
	b := binary.BigEndian.AppendUint64(nil, l.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(l.Rev))
	return append(append(append(b, l.Kind...), 0), l.ID...)
}

// setValues puts the texts into the line, encrypted when aead is set.
func (l *line) setValues(before, after []byte, aead cipher.AEAD) error {
	v := pack(before, after)
	if aead == nil {
		l.Values = &v
		return nil
	}
	plain, err := json.Marshal(&v)
	if err != nil {
		return err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	_, _ = rand.Read(nonce) // never fails
	l.Sealed = aead.Seal(nonce, nonce, plain, l.sealedFor())
	return nil
}

// entry turns a change's line into an Entry.
func (l *line) entry(aead cipher.AEAD) (Entry, error) {
	e := Entry{Seq: l.Seq, Rev: l.Rev, At: time.UnixMicro(l.At), Kind: kindOf(l.Kind), ID: l.ID, Withheld: l.TooLarge}
	if l.Actor != nil {
		e.Actor = *l.Actor
	}
	if e.Kind == conf.KindNone {
		return e, fmt.Errorf("entry %d: unknown kind %q", l.Seq, l.Kind)
	}
	v := l.Values
	if len(l.Sealed) > 0 {
		if aead == nil {
			e.Withheld = true
			return e, nil
		}
		n := aead.NonceSize()
		if len(l.Sealed) < n {
			return e, fmt.Errorf("entry %d: its values are cut off", l.Seq)
		}
		plain, err := aead.Open(nil, l.Sealed[:n], l.Sealed[n:], l.sealedFor())
		if err != nil {
			return e, fmt.Errorf("entry %d: the key file does not fit its values", l.Seq)
		}
		v = new(values)
		if err := json.Unmarshal(plain, v); err != nil {
			return e, fmt.Errorf("entry %d: %w", l.Seq, err)
		}
	}
	if v != nil {
		e.Before, e.After = v.unpack()
	}
	return e, nil
}

func kindOf(name string) conf.Kind {
	for k := conf.KindNone + 1; k < conf.NumKinds; k++ {
		if k.String() == name {
			return k
		}
	}
	return conf.KindNone
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// appendLine writes "checksum JSON\n".
func appendLine(dst []byte, l *line) ([]byte, error) {
	b, err := json.Marshal(l)
	if err != nil {
		return dst, err
	}
	dst = fmt.Appendf(dst, "%08x ", checksum(b))
	return append(append(dst, b...), '\n'), nil
}

var errBadLine = errors.New("the line is damaged")

// parseLine reads a line without its newline.
func parseLine(b []byte) (*line, error) {
	if len(b) < 10 || b[8] != ' ' {
		return nil, errBadLine
	}
	var sum uint32
	for _, c := range b[:8] {
		switch {
		case c >= '0' && c <= '9':
			sum = sum<<4 | uint32(c-'0')
		case c >= 'a' && c <= 'f':
			sum = sum<<4 | uint32(c-'a'+10)
		default:
			return nil, errBadLine
		}
	}
	if checksum(b[9:]) != sum {
		return nil, errBadLine
	}
	l := new(line)
	if err := json.Unmarshal(b[9:], l); err != nil || l.Type == lineDamaged {
		return nil, errBadLine
	}
	return l, nil
}
