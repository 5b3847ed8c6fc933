package proc

import (
	"encoding/binary"
	"errors"

	"github.com/sluicegw/sluice/core/conf"
)

// inventory lists what is live: per object kind (1 byte), checksum of the
// value (8), length of the id (2), id.
func (d *dataProcess) inventory() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return appendInventory(nil, d.applied)
}

func appendInventory(dst []byte, have map[Key]uint64) []byte {
	for k, sum := range have {
		dst = append(dst, byte(k.Kind))
		dst = binary.BigEndian.AppendUint64(dst, sum)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(k.ID)))
		dst = append(dst, k.ID...)
	}
	return dst
}

var errInventory = errors.New("control socket: malformed inventory")

const inventoryHead = 11

func parseInventory(raw []byte) (map[Key]uint64, error) {
	have := make(map[Key]uint64)
	for len(raw) > 0 {
		if len(raw) < inventoryHead {
			return nil, errInventory
		}
		k := Key{Kind: conf.Kind(raw[0])}
		if k.Kind == conf.KindNone || k.Kind >= conf.NumKinds {
			return nil, errInventory
		}
		sum := binary.BigEndian.Uint64(raw[1:])
		n := int(binary.BigEndian.Uint16(raw[9:]))
		raw = raw[inventoryHead:]
		if len(raw) < n {
			return nil, errInventory
		}
		k.ID = string(raw[:n])
		have[k] = sum
		raw = raw[n:]
	}
	return have, nil
}
