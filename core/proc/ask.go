package proc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// maxAskers bounds commands that talk to the control process at one time.
	maxAskers = 16
	// askTimeout bounds one question, unless its asker gives up earlier.
	askTimeout = 30 * time.Second
)

// CallHandler answers a command's question by name, ErrNoQuery when it does
// not know it.
type CallHandler func(ctx context.Context, name string, arg []byte) ([]byte, error)

// CallServer answers the commands of the CLI on a socket in the run directory.
type CallServer struct {
	ln     *net.UnixListener
	path   string
	handle CallHandler
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// ServeCalls opens the socket and serves until Close.
func ServeCalls(dir *RunDir, log *slog.Logger, handle CallHandler) (*CallServer, error) {
	ln, err := listenSock(dir.path, controlSock)
	if err != nil {
		return nil, err
	}
	s := &CallServer{ln: ln, path: filepath.Join(dir.path, controlSock), handle: handle, log: log}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.work.Go(s.accept)
	return s, nil
}

// Close stops serving and removes the socket.
func (s *CallServer) Close() {
	s.cancel()
	s.ln.Close()
	s.work.Wait()
	_ = os.Remove(s.path)
}

func (s *CallServer) accept() {
	free := make(chan struct{}, maxAskers)
	for {
		conn, err := s.ln.AcceptUnix()
		if err != nil {
			if s.ctx.Err() == nil {
				s.log.Error("socket for commands", "error", err)
			}
			return
		}
		free <- struct{}{}
		s.work.Go(func() {
			defer func() { <-free }()
			s.serve(conn)
		})
	}
}

// serve answers one asker's questions, in turn.
func (s *CallServer) serve(conn *net.UnixConn) {
	w := newWire(conn)
	defer w.close()
	stop := context.AfterFunc(s.ctx, func() { conn.Close() })
	defer stop()
	if err := checkPeer(conn); err != nil {
		s.log.Error("command refused", "error", err)
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(helloTimeout))
	var h hello
	if w.expect(msgHello, &h) != nil || w.sendJSON(msgWelcome, 0, welcome{Proto: protoVersion, PID: os.Getpid()}) != nil {
		return
	}
	for {
		_ = conn.SetReadDeadline(time.Now().Add(askTimeout))
		m, err := w.recv()
		if err != nil || m.typ != msgCall {
			return
		}
		flags, result := s.answer(m.payload)
		if w.send(msgReply, flags, m.id, result) != nil {
			return
		}
	}
}

func (s *CallServer) answer(payload []byte) (flags uint8, result []byte) {
	ctx, cancel := context.WithTimeout(s.ctx, askTimeout)
	defer cancel()
	name, arg, ok := splitCall(payload)
	err := errors.New("malformed call")
	if ok {
		result, err = s.guarded(ctx, name, arg)
	}
	switch {
	case errors.Is(err, ErrNoQuery):
		return flagError | flagNoQuery, []byte(err.Error())
	case err != nil:
		return flagError, []byte(err.Error())
	}
	return 0, result
}

func (s *CallServer) guarded(ctx context.Context, name string, arg []byte) (result []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("BUG: command panicked", "call", name, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("internal error in %q: %v", name, p)
		}
	}()
	return s.handle(ctx, name, arg)
}

// Ask puts a question to the control process of a run directory. It answers
// ErrNoControl (wrapped) when there is none.
func Ask(ctx context.Context, dir, name string, arg []byte) ([]byte, error) {
	conn, err := dialSock(dir, controlSock)
	if err != nil {
		return nil, fmt.Errorf("the gateway does not run in %s: %w (%w)", dir, ErrNoControl, err)
	}
	w := newWire(conn)
	defer w.close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := w.sendJSON(msgHello, 0, hello{Proto: protoVersion, PID: os.Getpid()}); err != nil {
		return nil, err
	}
	var hi welcome
	if err := w.expect(msgWelcome, &hi); err != nil {
		return nil, askError(ctx, err)
	}
	if err := w.send(msgCall, 0, 1, append(append([]byte(name), 0), arg...)); err != nil {
		return nil, askError(ctx, err)
	}
	m, err := w.recv()
	if err != nil {
		return nil, askError(ctx, err)
	}
	if m.typ != msgReply {
		return nil, fmt.Errorf("the control process answered with a message of type %d", m.typ)
	}
	return replyResult(name, &m)
}

func askError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("the control process did not answer: %w", err)
}

// AskJSON is Ask with the answer decoded into v.
func AskJSON(ctx context.Context, dir, name string, arg []byte, v any) error {
	raw, err := Ask(ctx, dir, name, arg)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("answer of the control process: %w", err)
	}
	return nil
}
