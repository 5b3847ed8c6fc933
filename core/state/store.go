package state

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sizes are the capacities of a store's tables, in entries of 73 bytes. Memory
// is used as entries are.
type Sizes struct {
	// Limits holds counters and buckets, one per limited key.
	Limits int `json:"limits"`
	// Conns holds the counts of requests in flight, one per key that has some.
	Conns int `json:"conns"`
	// Breakers holds circuit breakers. They are kept apart so that a flood of
	// clients cannot push them out.
	Breakers int `json:"breakers"`
}

// DefaultSizes are those of a gateway whose settings say nothing.
func DefaultSizes() Sizes { return Sizes{Limits: 256 << 10, Conns: 64 << 10, Breakers: 16 << 10} }

// MaxEntries bounds one table.
const MaxEntries = 1 << 27

// Store is a set of tables in one piece of memory. It is safe for concurrent
// use by any number of goroutines and processes.
type Store struct {
	Limits   *Table
	Conns    *Table
	Breakers *Table

	mem  []byte // mapped; nil when the memory is the heap's
	head *header
}

// header is the first page.
type header struct {
	magic  uint64
	sizes  [numTables]uint64
	seeds  [2]uint64 // secret: keys are clients' data
	epoch  atomic.Uint64
	counts [numTables]counters
}

// counters of a table. They are written where entries come and go, not on
// every decision.
type counters struct {
	used, inserted, reclaimed, full, busy atomic.Uint64
	generation                            atomic.Uint64
	_                                     [16]byte
}

const (
	numTables  = 3
	headerSize = 4096
	// magic names the layout; another layout gets another number.
	magic = 0x534c5549_43450001
)

var _ = [headerSize - unsafe.Sizeof(header{})]byte{} // it fits

func (s Sizes) list() [numTables]int { return [numTables]int{s.Limits, s.Conns, s.Breakers} }

func (s Sizes) check() error {
	for i, n := range s.list() {
		if n < 1 || n > MaxEntries {
			return fmt.Errorf("state: table %s: %d entries are not in 1..%d", tableNames[i], n, MaxEntries)
		}
	}
	return nil
}

var tableNames = [numTables]string{"limits", "conns", "breakers"}

// bytes is the memory that tables of these sizes take at most.
func (s Sizes) bytes() int {
	n := headerSize
	for _, e := range s.list() {
		n += groupsFor(e) * groupSize
	}
	return n
}

// New makes a store in the memory of this process alone, for tests and tools.
func New(sizes Sizes) *Store {
	if err := sizes.check(); err != nil {
		panic("BUG: " + err.Error())
	}
	// On the heap, where the race detector sees what is done with it.
	words := make([]uint64, sizes.bytes()/8+groupSize/8)
	skip := 0
	for uintptr(unsafe.Pointer(&words[skip]))%64 != 0 {
		skip++
	}
	mem := unsafe.Slice((*byte)(unsafe.Pointer(&words[skip])), sizes.bytes())
	initialise(mem, sizes)
	return attach(mem)
}

// Create makes the memory of a store as a file without a name. It lasts as long
// as somebody holds the file or has it mapped.
func Create(sizes Sizes) (*os.File, error) {
	if err := sizes.check(); err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("gw-state", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("state: memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "gw-state")
	err = f.Truncate(int64(sizes.bytes()))
	if err == nil {
		err = writeHeader(fd, sizes)
	}
	if err == nil {
		// Whoever maps it may rely on its size.
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("state: memory for %+v: %w", sizes, err)
	}
	return f, nil
}

func writeHeader(fd int, sizes Sizes) error {
	mem, err := unix.Mmap(fd, 0, headerSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	initialise(mem, sizes)
	return unix.Munmap(mem)
}

func initialise(mem []byte, sizes Sizes) {
	h := (*header)(unsafe.Pointer(&mem[0]))
	var secret [16]byte
	_, _ = rand.Read(secret[:]) // never fails (crypto/rand)
	h.seeds = [2]uint64{binary.LittleEndian.Uint64(secret[:]), binary.LittleEndian.Uint64(secret[8:])}
	for i, n := range sizes.list() {
		h.sizes[i] = uint64(n)
	}
	h.magic = magic
}

// ErrLayout says that the memory was made by a program with another layout.
var ErrLayout = errors.New("state: the memory has another layout than this program's")

// Open maps the store in a file made by Create. Every call counts as a new
// process: requests in flight that an earlier one counted are forgotten as
// their keys come up. The file may be closed afterwards.
func Open(fd int) (*Store, error) {
	sizes, err := Inspect(fd)
	if err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(fd, 0, sizes.bytes(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("state: mmap: %w", err)
	}
	s := attach(mem)
	s.mem = mem
	return s, nil
}

// Inspect tells the sizes of the store in a file.
func Inspect(fd int) (Sizes, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return Sizes{}, fmt.Errorf("state: fstat: %w", err)
	}
	if st.Size < headerSize {
		return Sizes{}, ErrLayout
	}
	mem, err := unix.Mmap(fd, 0, headerSize, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return Sizes{}, fmt.Errorf("state: mmap: %w", err)
	}
	defer unix.Munmap(mem)
	h := (*header)(unsafe.Pointer(&mem[0]))
	if h.magic != magic {
		return Sizes{}, ErrLayout
	}
	sizes := Sizes{Limits: int(h.sizes[0]), Conns: int(h.sizes[1]), Breakers: int(h.sizes[2])}
	if sizes.check() != nil || int64(sizes.bytes()) != st.Size {
		return Sizes{}, ErrLayout
	}
	return sizes, nil
}

// attach lays the tables over memory with a header.
func attach(mem []byte) *Store {
	h := (*header)(unsafe.Pointer(&mem[0]))
	s := &Store{head: h}
	epoch := h.epoch.Add(1) & epochMask
	if epoch == 0 { // 0 stands for nobody
		epoch = h.epoch.Add(1) & epochMask
	}
	at := headerSize
	for i, place := range []**Table{&s.Limits, &s.Conns, &s.Breakers} {
		n := groupsFor(int(h.sizes[i]))
		*place = &Table{
			name: tableNames[i], epoch: epoch, seeds: h.seeds, n: &h.counts[i],
			groups: unsafe.Slice((*group)(unsafe.Pointer(&mem[at])), n),
		}
		at += n * groupSize
	}
	return s
}

// Close unmaps the store. No table may be in use.
func (s *Store) Close() error {
	if s.mem == nil {
		return nil
	}
	mem := s.mem
	s.mem = nil
	return unix.Munmap(mem)
}

// Tables lists the tables in a fixed order.
func (s *Store) Tables() []*Table { return []*Table{s.Limits, s.Conns, s.Breakers} }

// Sweep takes expired entries out of every table. Tables work without it: an
// insertion makes the room it needs. It keeps Stats.Used true and old entries
// from living on until nobody can tell how old they are; call it about once a
// minute, from one goroutine.
func (s *Store) Sweep(now int64) {
	for _, t := range s.Tables() {
		t.Sweep(now)
	}
}
