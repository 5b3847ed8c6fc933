package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// helloTimeout bounds the handshake with a live data process, bootTimeout
	// the start of a new one.
	helloTimeout = 5 * time.Second
	bootTimeout  = 60 * time.Second
	// maxCalls bounds calls that wait for one process.
	maxCalls = 64
)

// link is the control process's connection to one data process.
type link struct {
	w       *wire
	welcome welcome

	mu      sync.Mutex
	nextID  uint64
	waiting map[uint64]chan message
	err     error

	// down is closed when the connection is lost.
	down chan struct{}
	// draining is closed when the process says that it drains by itself.
	draining chan struct{}
}

// dialLink connects and shakes hands; the reader is not running yet.
func dialLink(dir, name, version string) (*link, error) {
	conn, err := dialSock(dir, name)
	if err != nil {
		return nil, err
	}
	l := &link{
		w:       newWire(conn),
		waiting: make(map[uint64]chan message),
		down:    make(chan struct{}), draining: make(chan struct{}),
	}
	if err := l.greet(version); err != nil {
		l.w.close()
		return nil, fmt.Errorf("handshake with the data process: %w", err)
	}
	return l, nil
}

func (l *link) greet(version string) error {
	l.limit(helloTimeout)
	if err := l.w.sendJSON(msgHello, 0, hello{Proto: protoVersion, PID: os.Getpid(), Version: version}); err != nil {
		return err
	}
	return l.w.expect(msgWelcome, &l.welcome)
}

// limit bounds reads from now on; 0 lifts the limit.
func (l *link) limit(d time.Duration) {
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	// It fails only on a closed connection, which the next read tells.
	_ = l.w.conn.SetReadDeadline(at)
}

// boot starts a fresh data process.
func (l *link) boot(b *Boot, socks []Socket) error {
	l.limit(bootTimeout)
	if err := l.w.sendJSON(msgBoot, 0, b); err != nil {
		return err
	}
	if err := l.w.sendSockets(socks); err != nil {
		return err
	}
	var answer bootedMsg
	if err := l.w.expect(msgBooted, &answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	return nil
}

// takeSockets asks a running data process for its listening sockets.
func (l *link) takeSockets() ([]Socket, error) {
	l.limit(helloTimeout)
	if err := l.w.send(msgGive, 0, 0, nil); err != nil {
		return nil, err
	}
	return l.w.recvSockets()
}

// run reads until the connection is lost. Calls work from then on.
func (l *link) run() {
	l.limit(0)
	said := false
	for {
		m, err := l.w.recv()
		if err != nil {
			l.fail(err)
			return
		}
		switch m.typ {
		case msgAck, msgReply:
			l.mu.Lock()
			c := l.waiting[m.id]
			delete(l.waiting, m.id)
			l.mu.Unlock()
			if c != nil {
				c <- m
			}
		case msgDraining:
			if !said {
				said = true
				close(l.draining)
			}
		}
	}
}

func (l *link) fail(err error) {
	l.mu.Lock()
	l.err = err
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	close(l.down)
	for _, c := range waiting {
		close(c)
	}
	l.w.close()
}

// close ends the connection; run returns.
func (l *link) close() { l.w.conn.Close() }

var errBusy = errors.New("the data process has too many unanswered calls")

// roundTrip sends a message and waits for what answers it.
func (l *link) roundTrip(ctx context.Context, typ msgType, payload []byte) (message, error) {
	c := make(chan message, 1)
	l.mu.Lock()
	switch {
	case l.waiting == nil:
		err := l.err
		l.mu.Unlock()
		return message{}, fmt.Errorf("connection to the data process is lost: %w", err)
	case len(l.waiting) >= maxCalls:
		l.mu.Unlock()
		return message{}, errBusy
	}
	l.nextID++
	id := l.nextID
	l.waiting[id] = c
	l.mu.Unlock()

	if err := l.w.send(typ, 0, id, payload); err != nil {
		l.forget(id)
		return message{}, err
	}
	select {
	case m, ok := <-c:
		if !ok {
			return message{}, errors.New("connection to the data process was lost before it answered")
		}
		return m, nil
	case <-ctx.Done():
		l.forget(id)
		return message{}, fmt.Errorf("the data process did not answer: %w", ctx.Err())
	}
}

func (l *link) forget(id uint64) {
	l.mu.Lock()
	delete(l.waiting, id)
	l.mu.Unlock()
}

// call asks a named question.
func (l *link) call(ctx context.Context, name string, arg []byte) ([]byte, error) {
	payload := append(append([]byte(name), 0), arg...)
	m, err := l.roundTrip(ctx, msgCall, payload)
	if err != nil {
		return nil, err
	}
	return replyResult(name, &m)
}

func replyResult(name string, m *message) ([]byte, error) {
	switch {
	case m.flags&flagNoQuery != 0:
		return nil, fmt.Errorf("%w: %q", ErrNoQuery, name)
	case m.flags&flagError != 0:
		return nil, errors.New(string(m.payload))
	}
	return m.payload, nil
}

// splitCall undoes call's framing.
func splitCall(payload []byte) (name string, arg []byte, ok bool) {
	before, after, ok := bytes.Cut(payload, []byte{0})
	return string(before), after, ok
}

// isTimeout tells whether the peer merely was too slow.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
