package proc

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sluicegw/sluice/core/conf"
)

type hello struct {
	Proto   int    `json:"proto"`
	PID     int    `json:"pid"`
	Version string `json:"version"`
}

type welcome struct {
	Proto   int    `json:"proto"`
	PID     int    `json:"pid"`
	Version string `json:"version"`
	// Exe identifies the executable file (see exeID).
	Exe string `json:"exe"`
	// Booted is set when the process has been started already; Digest is that
	// of its spec then.
	Booted bool   `json:"booted"`
	Epoch  uint64 `json:"epoch"`
	Digest string `json:"digest"`
	// Served tells that a configuration was applied, Rev up to where.
	Served   bool  `json:"served"`
	Rev      int64 `json:"rev"`
	Draining bool  `json:"draining"`
}

type sockPlace struct {
	Listen int `json:"listen"`
	Loop   int `json:"loop"`
}

type bootedMsg struct {
	Error string `json:"error,omitempty"`
}

type ackMsg struct {
	Rev     int64     `json:"rev"`
	Refused []Refusal `json:"refused,omitempty"`
}

type drainMsg struct {
	TimeoutMS int64 `json:"timeout_ms"`
}

// sendJSON sends v as a message.
func (w *wire) sendJSON(typ msgType, id uint64, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	return w.send(typ, 0, id, raw)
}

// expect reads the next message, which must be of the type, into v.
func (w *wire) expect(typ msgType, v any) error {
	m, err := w.recv()
	if err != nil {
		return err
	}
	if m.typ != typ {
		return fmt.Errorf("control socket: message of type %d where %d was due", m.typ, typ)
	}
	if err := json.Unmarshal(m.payload, v); err != nil {
		return fmt.Errorf("control socket: message of type %d: %w", typ, err)
	}
	return nil
}

// sendSockets sends as many messages as the descriptors need, at least one.
func (w *wire) sendSockets(socks []Socket) error {
	for {
		part := socks[:min(len(socks), maxFDs)]
		socks = socks[len(part):]
		places := make([]sockPlace, len(part))
		fds := make([]int, len(part))
		for i, s := range part {
			places[i], fds[i] = sockPlace{s.Listen, s.Loop}, s.FD
		}
		raw, err := json.Marshal(places)
		if err != nil {
			return err
		}
		var flags uint8
		if len(socks) > 0 {
			flags = flagMore
		}
		if err := w.send(msgSockets, flags, 0, raw, fds...); err != nil {
			return err
		}
		if len(socks) == 0 {
			return nil
		}
	}
}

// recvSockets reads what sendSockets sent; the descriptors are the caller's.
func (w *wire) recvSockets() (socks []Socket, err error) {
	defer func() {
		if err != nil {
			for _, s := range socks {
				closeFD(s.FD)
			}
			socks = nil
		}
	}()
	for {
		m, err := w.recv()
		if err != nil {
			return socks, err
		}
		var places []sockPlace
		if m.typ != msgSockets || json.Unmarshal(m.payload, &places) != nil || len(places) != len(m.fds) {
			for _, fd := range m.fds {
				closeFD(fd)
			}
			return socks, fmt.Errorf("control socket: malformed list of sockets")
		}
		for i, p := range places {
			socks = append(socks, Socket{Listen: p.Listen, Loop: p.Loop, FD: m.fds[i]})
		}
		if m.flags&flagMore == 0 {
			return socks, nil
		}
	}
}

const batchFull = 1

// deletedSize stands for the length of a value that is not there.
const deletedSize = 1<<32 - 1

// appendBatch encodes a batch: flags (1 byte), revision (8), number of objects
// (4); per object kind (1), create revision (8), revision (8), length of the
// id (2), of the value (4, all ones for a deletion), id, value. Numbers are
// big endian. Objects must pass fits.
func appendBatch(dst []byte, b *conf.Batch) []byte {
	var flags byte
	if b.Full {
		flags = batchFull
	}
	dst = append(dst, flags)
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.Rev))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(b.Objects)))
	for i := range b.Objects {
		o := &b.Objects[i]
		dst = append(dst, byte(o.Kind))
		dst = binary.BigEndian.AppendUint64(dst, uint64(o.CreateRev))
		dst = binary.BigEndian.AppendUint64(dst, uint64(o.Rev))
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(o.ID)))
		size := uint32(len(o.Value))
		if o.Deleted() {
			size = deletedSize
		}
		dst = binary.BigEndian.AppendUint32(dst, size)
		dst = append(dst, o.ID...)
		dst = append(dst, o.Value...)
	}
	return dst
}

const (
	maxID    = 1<<16 - 1
	maxValue = maxMessage / 2
)

// fits tells whether an object can be sent at all.
func fits(o *conf.Object) bool { return len(o.ID) <= maxID && len(o.Value) <= maxValue }

// maxPart bounds the values of one batch; a configuration beyond it is sent as
// several.
const maxPart = maxBatchMessage / 2

// split cuts a batch into such parts. The objects are in the order in which
// they apply, so a part never refers to a later one.
func split(b *conf.Batch) []conf.Batch {
	var parts []conf.Batch
	from, size := 0, 0
	for i := range b.Objects {
		n := len(b.Objects[i].Value) + len(b.Objects[i].ID) + objectHead
		if size+n > maxPart {
			parts = append(parts, conf.Batch{Full: b.Full && from == 0, Rev: b.Rev, Objects: b.Objects[from:i]})
			from, size = i, 0
		}
		size += n
	}
	return append(parts, conf.Batch{Full: b.Full && from == 0, Rev: b.Rev, Objects: b.Objects[from:]})
}

var errBatch = errors.New("control socket: malformed batch")

const (
	batchHead  = 13
	objectHead = 23
)

// parseBatch decodes a batch; the values point into raw.
func parseBatch(raw []byte) (*conf.Batch, error) {
	if len(raw) < batchHead || raw[0]&^batchFull != 0 {
		return nil, errBatch
	}
	b := &conf.Batch{Full: raw[0]&batchFull != 0, Rev: int64(binary.BigEndian.Uint64(raw[1:]))}
	n := int(binary.BigEndian.Uint32(raw[9:]))
	raw = raw[batchHead:]
	if n > len(raw)/objectHead {
		return nil, errBatch
	}
	b.Objects = make([]conf.Object, n)
	for i := range b.Objects {
		if len(raw) < objectHead {
			return nil, errBatch
		}
		o := &b.Objects[i]
		o.Kind = conf.Kind(raw[0])
		if o.Kind == conf.KindNone || o.Kind >= conf.NumKinds {
			return nil, errBatch
		}
		o.CreateRev = int64(binary.BigEndian.Uint64(raw[1:]))
		o.Rev = int64(binary.BigEndian.Uint64(raw[9:]))
		idLen := int(binary.BigEndian.Uint16(raw[17:]))
		size := binary.BigEndian.Uint32(raw[19:])
		raw = raw[objectHead:]
		if len(raw) < idLen {
			return nil, errBatch
		}
		o.ID = string(raw[:idLen])
		raw = raw[idLen:]
		if size == deletedSize {
			continue
		}
		if uint64(size) > uint64(len(raw)) {
			return nil, errBatch
		}
		o.Value = raw[:size:size]
		raw = raw[size:]
	}
	if len(raw) != 0 {
		return nil, errBatch
	}
	return b, nil
}
