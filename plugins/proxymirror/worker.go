package proxymirror

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sluicegw/sluice/core/h1"
)

// worker sends copies one after the other on a connection of its own. It runs
// in the background.
type worker struct {
	t    *target
	conn net.Conn
	br   *bufio.Reader
	buf  []byte
}

// idleTime is how long a worker without work keeps its connection.
const idleTime = 30 * time.Second

func (w *worker) run() {
	defer w.close()
	timer := time.NewTimer(idleTime)
	defer timer.Stop()
	for {
		timer.Reset(idleTime)
		select {
		case j := <-w.t.queue:
			w.do(j)
		case <-timer.C:
			w.t.workers.Add(-1)
			// A copy may have come at the last moment.
			if len(w.t.queue) == 0 {
				return
			}
			w.t.workers.Add(1)
		}
	}
}

func (w *worker) do(j *job) {
	if err := w.send(j); err != nil {
		failed.Add(1)
		w.close()
		w.t.tell("a copy could not be sent", time.Now().UnixNano(), "error", err)
	} else {
		sent.Add(1)
	}
	w.t.free(j)
}

func (w *worker) close() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

// send sends one copy and reads the answer. A kept connection may have been
// closed by the host meanwhile: then there is a second try on a new one.
func (w *worker) send(j *job) error {
	reused := w.conn != nil
	if !reused {
		if err := w.dial(); err != nil {
			return err
		}
	}
	begun, err := w.exchange(j)
	if err == nil || !reused || begun {
		return err
	}
	w.close()
	if err := w.dial(); err != nil {
		return err
	}
	_, err = w.exchange(j)
	return err
}

func (w *worker) dial() error {
	k := &w.t.key
	addr := k.host
	name := strings.Trim(addr, "[]")
	if h, _, err := net.SplitHostPort(addr); err == nil {
		name = h
	} else {
		port := "80"
		if k.scheme == "https" {
			port = "443"
		}
		addr = net.JoinHostPort(name, port)
	}
	d := net.Dialer{Timeout: k.limits.connect}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		return err
	}
	if k.scheme == "https" {
		// As in APISIX the certificate of the host is not checked.
		t := tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
		_ = conn.SetDeadline(time.Now().Add(k.limits.connect))
		if err := t.Handshake(); err != nil {
			conn.Close()
			return err
		}
		conn = t
	}
	w.conn, w.br = conn, bufio.NewReaderSize(conn, 4<<10)
	return nil
}

// maxAnswer is how much of an answer is read to keep the connection.
const maxAnswer = 1 << 20

// exchange writes the copy and reads the answer. begun says that the answer had
// begun when it failed.
func (w *worker) exchange(j *job) (begun bool, err error) {
	l := &w.t.key.limits
	b := append(w.buf[:0], j.head...)
	if len(j.body) > 0 || j.method == h1.MethodPost || j.method == h1.MethodPut || j.method == h1.MethodPatch {
		b = append(b, "Content-Length: "...)
		b = h1.AppendInt(b, int64(len(j.body)))
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	w.buf = b
	_ = w.conn.SetDeadline(time.Now().Add(l.send))
	if err := w.write(b, j.body); err != nil {
		return false, err
	}
	_ = w.conn.SetDeadline(time.Now().Add(l.read))
	if _, err := w.br.Peek(1); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(w.br, &http.Request{Method: j.method.String()})
	for err == nil && resp.StatusCode < 200 {
		resp, err = http.ReadResponse(w.br, &http.Request{Method: j.method.String()})
	}
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return true, err
	}
	if n > maxAnswer || resp.Close {
		w.close()
	}
	return true, nil
}

func (w *worker) write(head, body []byte) error {
	bufs := net.Buffers{head}
	if len(body) > 0 {
		bufs = append(bufs, body)
	}
	_, err := bufs.WriteTo(w.conn)
	return err
}
