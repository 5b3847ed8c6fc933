package ring

// The kernel's interface (include/uapi/linux/io_uring.h), as far as it is used.

// SQE is a submission entry.
type SQE struct {
	Opcode   uint8
	Flags    uint8
	Ioprio   uint16
	FD       int32
	Off      uint64
	Addr     uint64
	Len      uint32
	OpFlags  uint32
	UserData uint64
	BufGroup uint16
	_        uint16
	Index    uint32
	_        [2]uint64
}

// CQE is a completion.
type CQE struct {
	UserData uint64
	Res      int32 // result, or a negative errno
	Flags    uint32
}

// Operations.
const (
	OpNop     = 0
	OpPollAdd = 6
	OpAccept  = 13
	OpCancel  = 14
	OpConnect = 16
	OpClose   = 19
	OpSend    = 26
	OpRecv    = 27
)

// Flags of entries.
const (
	FixedFile    = 1 << 0 // FD is an index of the registered files
	BufferSelect = 1 << 5 // the kernel takes a buffer of BufGroup
	SkipSuccess  = 1 << 6 // only a failure makes a completion
)

// Ioprio and Len bits of single operations.
const (
	RecvMultishot   = 1 << 1 // Ioprio of OpRecv
	RecvBundle      = 1 << 4
	AcceptMultishot = 1 << 0 // Ioprio of OpAccept
	PollMultishot   = 1 << 0 // Len of OpPollAdd
)

// Flags of completions.
const (
	HasBuffer = 1 << 0 // the upper 16 bits are a buffer's number
	HasMore   = 1 << 1 // the operation goes on
)

// BufferOf is the number of the buffer that a completion with HasBuffer used.
func (c *CQE) BufferOf() uint16 { return uint16(c.Flags >> 16) }

const (
	setupCQSize       = 1 << 3
	setupClamp        = 1 << 4
	setupRDisabled    = 1 << 6
	setupSubmitAll    = 1 << 7
	setupTaskrunFlag  = 1 << 9
	setupSingleIssuer = 1 << 12
	setupDeferTaskrun = 1 << 13
	setupNoSQArray    = 1 << 16

	featSingleMmap = 1 << 0
	featNoDrop     = 1 << 1
	featExtArg     = 1 << 8
	featCQESkip    = 1 << 11

	enterGetEvents      = 1 << 0
	enterExtArg         = 1 << 3
	enterRegisteredRing = 1 << 4

	sqCQOverflow = 1 << 1
	sqTaskrun    = 1 << 2

	offSQRing = 0
	offSQEs   = 0x10000000

	registerEnableRings = 12
	registerRingFDs     = 20
	unregisterRingFDs   = 21
	registerPbufRing    = 22
	unregisterPbufRing  = 23
)

type sqOffsets struct {
	head, tail, ringMask, ringEntries, flags, dropped, array, resv uint32
	userAddr                                                       uint64
}

type cqOffsets struct {
	head, tail, ringMask, ringEntries, overflow, cqes, flags, resv uint32
	userAddr                                                       uint64
}

type params struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFD uint32
	resv                                                                   [3]uint32
	sqOff                                                                  sqOffsets
	cqOff                                                                  cqOffsets
}

type rsrcUpdate struct {
	offset, resv uint32
	data         uint64
}

type bufReg struct {
	addr    uint64
	entries uint32
	group   uint16
	flags   uint16
	resv    [3]uint64
}
