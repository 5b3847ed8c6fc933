package lastgood

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/sluicegw/sluice/core/conf"
)

// A file is a header and records. The header is in the clear and part of what
// every record authenticates:
//
//	magic[8] version[2] type[2] generation[16] salt[32] created[8] crc[4]
//
// A record is sealed with AES-256-GCM under a key derived from the key file and
// the header's salt, with the record's number as nonce; a salt is used for one
// file only, so that no nonce comes twice:
//
//	length[4] crc[4] sealed[length]
//
// The checksum tells damage from a wrong key. Sealed is a type byte and
// objects (recordObjects), or the state that holds when everything before was
// applied (recordState): revision, time, cluster, number of objects.
const (
	magic      = "SLUICELG"
	version    = 1
	headerSize = 8 + 2 + 2 + 16 + 32 + 8 + 4
	recordHead = 8
	// chunkBytes is the size at which a record of objects is closed.
	chunkBytes = 256 << 10
	// maxRecord bounds what a reader allocates for one record: a chunk plus
	// the largest single object.
	maxRecord = 64 << 20
)

type fileType uint16

// A base holds a whole configuration, a delta what changed since its base.
const (
	typeBase  fileType = 1
	typeDelta fileType = 2
)

type recordType byte

const (
	recordObjects recordType = 1
	recordState   recordType = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	// ErrDamaged says that the file is not what was written.
	ErrDamaged = errors.New("the file is damaged")
	// ErrWrongKey says that the key file is not the one it was written with.
	ErrWrongKey = errors.New("the key file does not fit")
	// ErrVersion says that a newer version wrote the file.
	ErrVersion = errors.New("the file was written by another version")
)

type header struct {
	typ        fileType
	generation [16]byte
	salt       [32]byte
	created    time.Time
}

func (h *header) encode() []byte {
	b := make([]byte, 0, headerSize)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint16(b, version)
	b = binary.BigEndian.AppendUint16(b, uint16(h.typ))
	b = append(b, h.generation[:]...)
	b = append(b, h.salt[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.created.UnixNano()))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeHeader(b []byte) (*header, error) {
	if len(b) < headerSize || string(b[:8]) != magic {
		return nil, fmt.Errorf("%w: it does not start as such a file", ErrDamaged)
	}
	if v := binary.BigEndian.Uint16(b[8:]); v != version {
		return nil, fmt.Errorf("%w: format %d, this one reads %d", ErrVersion, v, version)
	}
	if binary.BigEndian.Uint32(b[headerSize-4:]) != crc32.Checksum(b[:headerSize-4], castagnoli) {
		return nil, fmt.Errorf("%w: the header's checksum differs", ErrDamaged)
	}
	h := &header{typ: fileType(binary.BigEndian.Uint16(b[10:]))}
	copy(h.generation[:], b[12:])
	copy(h.salt[:], b[28:])
	h.created = time.Unix(0, int64(binary.BigEndian.Uint64(b[60:])))
	return h, nil
}

// sealer numbers and seals the records of one file.
type sealer struct {
	aead   cipher.AEAD
	header []byte
	seq    uint64
	read   bytes.Buffer
}

func newSealer(key []byte, h *header) (*sealer, error) {
	fileKey, err := hkdf.Key(sha256.New, key, h.salt[:], "last good configuration", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(fileKey)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &sealer{aead: aead, header: h.encode()}, nil
}

func (s *sealer) nonce() []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint64(n[4:], s.seq)
	s.seq++
	return n
}

// record appends one sealed record to dst.
func (s *sealer) record(dst, plain []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, recordHead)...)
	dst = s.aead.Seal(dst, s.nonce(), plain, s.header)
	sealed := dst[start+recordHead:]
	binary.BigEndian.PutUint32(dst[start:], uint32(len(sealed)))
	binary.BigEndian.PutUint32(dst[start+4:], crc32.Checksum(sealed, castagnoli))
	return dst
}

// next reads one record; io.EOF at the end of the file. The record is valid
// until the next call.
func (s *sealer) next(r io.Reader) ([]byte, error) {
	var head [recordHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if err == io.EOF {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("%w: it ends within a record", ErrDamaged)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxRecord {
		return nil, fmt.Errorf("%w: a record claims %d bytes", ErrDamaged, n)
	}
	s.read.Reset()
	if n <= 4*chunkBytes {
		s.read.Grow(int(n)) // more is only taken as it really comes
	}
	if m, err := io.CopyN(&s.read, r, int64(n)); err != nil {
		return nil, fmt.Errorf("%w: a record ends after %d of %d bytes", ErrDamaged, m, n)
	}
	sealed := s.read.Bytes()
	if binary.BigEndian.Uint32(head[4:]) != crc32.Checksum(sealed, castagnoli) {
		return nil, fmt.Errorf("%w: a record's checksum differs", ErrDamaged)
	}
	plain, err := s.aead.Open(sealed[:0], s.nonce(), sealed, s.header)
	if err != nil {
		return nil, ErrWrongKey
	}
	return plain, nil
}

// state is what a recordState holds.
type state struct {
	rev     int64
	at      time.Time
	cluster uint64
	objects int
}

func appendState(dst []byte, s state) []byte {
	dst = append(dst, byte(recordState))
	dst = binary.AppendVarint(dst, s.rev)
	dst = binary.AppendVarint(dst, s.at.UnixNano())
	dst = binary.AppendUvarint(dst, s.cluster)
	return binary.AppendUvarint(dst, uint64(s.objects))
}

func appendObject(dst []byte, o *conf.Object) []byte {
	dst = append(dst, byte(o.Kind))
	dst = binary.AppendUvarint(dst, uint64(len(o.ID)))
	dst = append(dst, o.ID...)
	dst = binary.AppendVarint(dst, o.CreateRev)
	dst = binary.AppendVarint(dst, o.Rev)
	if o.Deleted() {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	dst = binary.AppendUvarint(dst, uint64(len(o.Value)))
	return append(dst, o.Value...)
}

// decoder takes values off the front of a record; after a fault it gives
// zeros and bad stays set.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.bad = true
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) state() state {
	s := state{rev: d.varint(), at: time.Unix(0, d.varint()), cluster: d.uvarint()}
	n := d.uvarint()
	d.bad = d.bad || n > 1<<31
	s.objects = int(n)
	return s
}

func (d *decoder) object() conf.Object {
	o := conf.Object{Kind: conf.Kind(d.byte())}
	o.ID = string(d.bytes())
	o.CreateRev, o.Rev = d.varint(), d.varint()
	switch d.byte() {
	case 0:
	case 1:
		o.Value = bytes.Clone(d.bytes())
		if o.Value == nil {
			o.Value = []byte{}
		}
	default:
		d.bad = true
	}
	d.bad = d.bad || o.Kind <= conf.KindNone || o.Kind >= conf.NumKinds
	return o
}
