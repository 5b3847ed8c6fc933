package proc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The protocol between the processes: frames over a unix stream socket.
//
//	0  payload length, uint32 big endian
//	4  type
//	5  flags
//	6  number of descriptors sent with the frame (SCM_RIGHTS), uint16
//	8  id of the call or batch that the frame belongs to, uint64
//
// A message longer than maxFrame is cut into frames with flagMore. Control
// speaks first (hello), the data process answers (welcome). Control then boots
// a fresh process (boot, sockets; booted), or takes one over (give; sockets).
// After that: batch and ack, at most one batch on its way; call and reply;
// drain, quit, live; and draining, when the data process begins that by itself.
//
// hello, welcome, give, sockets, drain and quit keep their meaning for ever:
// with them any version can take over from any other.
type msgType uint8

const (
	msgHello    msgType = iota + 1 // JSON hello
	msgWelcome                     // JSON welcome
	msgBoot                        // JSON Boot
	msgSockets                     // JSON []sockPlace; descriptors; flagMore: another follows
	msgBooted                      // JSON booted
	msgGive                        // empty: give the listening sockets back
	msgBatch                       // see appendBatch
	msgAck                         // JSON ack
	msgCall                        // name, 0, argument
	msgReply                       // answer, or error text with flagError
	msgDrain                       // JSON drain
	msgDraining                    // empty
	msgQuit                        // empty
	msgLive                        // JSON Live
	numMsgTypes
)

const (
	flagMore    = 1 << iota // the message goes on in the next frame
	flagError               // a reply's payload is an error's text
	flagNoQuery             // with flagError: the call's name is unknown
)

const (
	protoVersion = 1
	headerSize   = 16
	// maxFrame bounds a frame's payload.
	maxFrame = 1 << 20
	// maxMessage bounds a message's payload; maxBatchMessage that of a batch,
	// which may be a whole configuration.
	maxMessage      = 64 << 20
	maxBatchMessage = 1 << 30
	// maxFDs is the kernel's limit on descriptors in one message.
	maxFDs = 253
	// maxQueuedFDs bounds descriptors received and not yet claimed.
	maxQueuedFDs = 2 * maxFDs
	// writeTimeout is how long a peer may leave a frame unread.
	writeTimeout = 20 * time.Second
)

type header struct {
	size  uint32
	typ   msgType
	flags uint8
	fds   uint16
	id    uint64
}

func appendHeader(dst []byte, h header) []byte {
	dst = binary.BigEndian.AppendUint32(dst, h.size)
	dst = append(dst, byte(h.typ), h.flags)
	dst = binary.BigEndian.AppendUint16(dst, h.fds)
	return binary.BigEndian.AppendUint64(dst, h.id)
}

func parseHeader(b []byte) (header, error) {
	h := header{
		size:  binary.BigEndian.Uint32(b),
		typ:   msgType(b[4]),
		flags: b[5],
		fds:   binary.BigEndian.Uint16(b[6:]),
		id:    binary.BigEndian.Uint64(b[8:]),
	}
	switch {
	case h.typ == 0 || h.typ >= numMsgTypes:
		return h, fmt.Errorf("frame of unknown type %d", h.typ)
	case h.size > maxFrame:
		return h, fmt.Errorf("frame of %d bytes is longer than %d", h.size, maxFrame)
	case h.fds > maxFDs || h.fds > 0 && h.typ != msgSockets:
		return h, fmt.Errorf("frame of type %d with %d descriptors", h.typ, h.fds)
	}
	return h, nil
}

// message is a whole message as received.
type message struct {
	typ     msgType
	flags   uint8
	id      uint64
	payload []byte
	fds     []int // the receiver's
}

// wire is one end of the connection. send is safe for concurrent use, recv is
// for one goroutine.
type wire struct {
	conn *net.UnixConn
	wmu  sync.Mutex
	wbuf []byte
	rd   fdReader
}

func newWire(conn *net.UnixConn) *wire {
	return &wire{conn: conn, rd: fdReader{conn: conn}}
}

// send writes a message. fds must be empty unless typ is msgSockets, whose
// payload must fit a frame; more marks that another message of the type
// follows.
func (w *wire) send(typ msgType, flags uint8, id uint64, payload []byte, fds ...int) error {
	w.wmu.Lock()
	defer w.wmu.Unlock()
	for {
		part := payload[:min(len(payload), maxFrame)]
		payload = payload[len(part):]
		f := flags
		if len(payload) > 0 {
			f |= flagMore
		}
		if err := w.writeFrame(header{uint32(len(part)), typ, f, uint16(len(fds)), id}, part, fds); err != nil {
			// Half a frame may be out: the stream is of no use any more.
			w.conn.Close()
			return fmt.Errorf("control socket: %w", err)
		}
		if len(payload) == 0 {
			return nil
		}
	}
}

func (w *wire) writeFrame(h header, part []byte, fds []int) error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	w.wbuf = append(appendHeader(w.wbuf[:0], h), part...)
	buf := w.wbuf
	if len(fds) > 0 {
		n, _, err := w.conn.WriteMsgUnix(buf, unix.UnixRights(fds...), nil)
		if err != nil {
			return err
		}
		buf = buf[n:]
	}
	if len(buf) == 0 {
		return nil
	}
	_, err := w.conn.Write(buf)
	return err
}

// recv reads the next message. On error the connection is of no use any more;
// descriptors that nobody claimed are closed by close.
func (w *wire) recv() (message, error) {
	var m message
	for {
		var raw [headerSize]byte
		if _, err := io.ReadFull(&w.rd, raw[:]); err != nil {
			return m, err
		}
		h, err := parseHeader(raw[:])
		if err != nil {
			return m, err
		}
		if m.typ == 0 {
			m.typ, m.id = h.typ, h.id
		} else if m.typ != h.typ || m.id != h.id {
			return m, fmt.Errorf("frame of type %d inside a message of type %d", h.typ, m.typ)
		}
		limit := maxMessage
		if h.typ == msgBatch {
			limit = maxBatchMessage
		}
		if len(m.payload)+int(h.size) > limit {
			return m, fmt.Errorf("message of type %d is longer than %d bytes", h.typ, limit)
		}
		m.flags = h.flags
		from := len(m.payload)
		m.payload = append(m.payload, make([]byte, h.size)...)
		if _, err := io.ReadFull(&w.rd, m.payload[from:]); err != nil {
			return m, unexpected(err)
		}
		if h.fds > 0 {
			if m.fds, err = w.rd.take(int(h.fds)); err != nil {
				return m, err
			}
		}
		// Sockets come in messages of one frame each: flagMore is theirs to
		// read.
		if h.flags&flagMore == 0 || h.typ == msgSockets {
			return m, nil
		}
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// close ends the connection. Call it from the goroutine that calls recv, or
// after that has ended.
func (w *wire) close() {
	w.conn.Close()
	w.rd.discard()
}

// fdReader reads the stream and collects the descriptors that come with it.
type fdReader struct {
	conn *net.UnixConn
	buf  []byte // read and not yet consumed
	room []byte
	oob  []byte
	fds  []int
}

func (r *fdReader) Read(p []byte) (int, error) {
	if len(r.buf) == 0 {
		if r.room == nil {
			r.room = make([]byte, 64<<10)
			r.oob = make([]byte, unix.CmsgSpace(maxFDs*4))
		}
		n, oobn, _, _, err := r.conn.ReadMsgUnix(r.room, r.oob)
		if errors.Is(err, io.EOF) {
			return 0, io.EOF // bare, as io.ReadFull wants it
		}
		if err != nil {
			return 0, err
		}
		if oobn > 0 {
			if err := r.collect(r.oob[:oobn]); err != nil {
				return 0, err
			}
		}
		if n == 0 {
			return 0, io.EOF
		}
		r.buf = r.room[:n]
	}
	n := copy(p, r.buf)
	r.buf = r.buf[n:]
	return n, nil
}

func (r *fdReader) collect(oob []byte) error {
	cmsgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("ancillary data: %w", err)
	}
	for i := range cmsgs {
		fds, err := unix.ParseUnixRights(&cmsgs[i])
		if err != nil {
			continue
		}
		r.fds = append(r.fds, fds...)
	}
	if len(r.fds) > maxQueuedFDs {
		return fmt.Errorf("more than %d descriptors that no frame asked for", maxQueuedFDs)
	}
	return nil
}

func (r *fdReader) take(n int) ([]int, error) {
	if len(r.fds) < n {
		return nil, fmt.Errorf("frame announces %d descriptors, %d came (RLIMIT_NOFILE too low?)", n, len(r.fds))
	}
	fds := append([]int(nil), r.fds[:n]...)
	r.fds = append(r.fds[:0], r.fds[n:]...)
	return fds, nil
}

func (r *fdReader) discard() {
	for _, fd := range r.fds {
		unix.Close(fd)
	}
	r.fds = nil
}
