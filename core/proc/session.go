package proc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/conf"
)

// checkPeer lets only this user and root give orders.
func checkPeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return err
	}
	if credErr != nil {
		return credErr
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Getuid() {
		return fmt.Errorf("process %d of user %d may not control this gateway", cred.Pid, cred.Uid)
	}
	return nil
}

// talk is one control process's session.
func (d *dataProcess) talk(w *wire) error {
	if err := d.greet(w); err != nil {
		return err
	}
	batches := make(chan message, 1)
	applied := make(chan struct{})
	go func() {
		defer close(applied)
		d.applyAll(w, batches)
	}()
	defer func() {
		close(batches)
		// The next control process must not find a batch half applied; a
		// process that ends need not wait. Calls still being answered are
		// left to fail.
		select {
		case <-applied:
		case <-d.done:
		}
	}()
	calls := make(chan struct{}, maxDataCalls)
	for {
		m, err := w.recv()
		if err != nil {
			return err
		}
		switch m.typ {
		case msgBoot:
			if err := d.start(w, m.payload); err != nil {
				return err
			}
		case msgGive:
			d.mu.Lock()
			socks := d.socks
			d.mu.Unlock()
			if err := w.sendSockets(socks); err != nil {
				return err
			}
		case msgBatch:
			select {
			case batches <- m:
			default:
				return errors.New("control process sent a batch before the last was acknowledged")
			}
		case msgCall:
			select {
			case calls <- struct{}{}:
				go func() {
					defer func() { <-calls }()
					d.answer(w, m)
				}()
			default:
				if err := w.send(msgReply, flagError, m.id, []byte(errBusy.Error())); err != nil {
					return err
				}
			}
		case msgDrain:
			var order drainMsg
			if err := json.Unmarshal(m.payload, &order); err != nil {
				return fmt.Errorf("drain order: %w", err)
			}
			go d.drain(time.Duration(order.TimeoutMS) * time.Millisecond)
			// Once the data plane has closed its own, too, an address that is
			// given up refuses connections instead of letting them wait.
			d.giveUpSockets()
		case msgLive:
			var v Live
			if err := json.Unmarshal(m.payload, &v); err != nil {
				return fmt.Errorf("live settings: %w", err)
			}
			d.setLive(v)
		case msgQuit:
			d.quit()
			return nil
		default:
			return fmt.Errorf("message of type %d is not for a data process", m.typ)
		}
	}
}

func (d *dataProcess) greet(w *wire) error {
	_ = w.conn.SetReadDeadline(time.Now().Add(helloTimeout))
	var h hello
	if err := w.expect(msgHello, &h); err != nil {
		return err
	}
	_ = w.conn.SetReadDeadline(time.Time{})
	me := welcome{Proto: protoVersion, PID: os.Getpid(), Version: d.opts.Version, Exe: d.exe, Draining: d.draining.Load()}
	d.mu.Lock()
	if d.boot != nil {
		me.Booted, me.Epoch, me.Digest = true, d.boot.Epoch, d.digest
	}
	me.Served, me.Rev = d.served, d.rev
	d.mu.Unlock()
	if me.Booted {
		d.log.Info("control process connected", "pid", h.PID, "version", h.Version)
	}
	return w.sendJSON(msgWelcome, 0, me)
}

// start boots the data plane; the answer goes out in either case.
func (d *dataProcess) start(w *wire, payload []byte) error {
	if d.running() {
		return errors.New("control process sent a second boot message")
	}
	var b Boot
	if err := json.Unmarshal(payload, &b); err != nil {
		return fmt.Errorf("boot message: %w", err)
	}
	socks, err := w.recvSockets()
	if err != nil {
		return err
	}
	err = d.startPlane(&b, socks)
	answer := bootedMsg{}
	if err != nil {
		answer.Error = err.Error()
	}
	if sendErr := w.sendJSON(msgBooted, 0, answer); sendErr != nil && err == nil {
		// Nobody waits for us any more: a successor has started another.
		d.dp.Close()
		return sendErr
	}
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.boot, d.digest, d.socks = &b, b.Spec.Digest(), socks
	d.mu.Unlock()
	return nil
}

func (d *dataProcess) applyAll(w *wire, batches <-chan message) {
	for m := range batches {
		refused, rev, err := d.apply(m.payload)
		if err == nil {
			err = w.sendJSON(msgAck, m.id, ackMsg{Rev: rev, Refused: refused})
		}
		if err != nil {
			d.log.Error("batch from the control process", "error", err)
			w.conn.Close()
			return
		}
	}
}

func (d *dataProcess) apply(raw []byte) ([]Refusal, int64, error) {
	b, err := parseBatch(raw)
	if err != nil {
		return nil, 0, err
	}
	if !d.running() {
		return nil, 0, errors.New("batch before the boot message")
	}
	refused := d.dp.Apply(b)
	d.accept("")
	not := make(map[Key]bool, len(refused))
	for _, r := range refused {
		not[Key{r.Kind, r.ID}] = true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note(b, not)
	d.served, d.rev = true, b.Rev
	return refused, b.Rev, nil
}

// note keeps the list of what is live.
func (d *dataProcess) note(b *conf.Batch, refused map[Key]bool) {
	old := d.applied
	if b.Full {
		d.applied = make(map[Key]uint64, len(b.Objects))
	}
	for i := range b.Objects {
		o := &b.Objects[i]
		k := Key{o.Kind, o.ID}
		switch {
		case refused[k]:
			if sum, had := old[k]; had {
				d.applied[k] = sum
			}
		case o.Deleted():
			delete(d.applied, k)
		default:
			d.applied[k] = xxhash.Sum64(o.Value)
		}
	}
}

func (d *dataProcess) answer(w *wire, m message) {
	name, arg, ok := splitCall(m.payload)
	var flags uint8
	var result []byte
	err := errors.New("malformed call")
	if ok {
		result, err = d.query(name, arg)
	}
	if err != nil {
		flags, result = flagError, []byte(err.Error())
		if errors.Is(err, ErrNoQuery) {
			flags |= flagNoQuery
		}
	}
	// A lost connection is noticed by the reader.
	_ = w.send(msgReply, flags, m.id, result)
}

// query answers a call; a panic in the data plane's answer costs the answer
// only.
func (d *dataProcess) query(name string, arg []byte) (result []byte, err error) {
	if !d.running() {
		return nil, errors.New("the data process is not started yet")
	}
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("BUG: call panicked", "call", name, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("internal error in call %q: %v", name, p)
		}
	}()
	switch name {
	case CallStatus:
		return json.Marshal(d.dp.Status())
	case CallHealth:
		return json.Marshal(d.dp.Health())
	case CallMetrics:
		var buf bytes.Buffer
		d.dp.Metrics(&buf)
		return buf.Bytes(), nil
	case callInventory:
		return d.inventory(), nil
	}
	return d.dp.Query(name, arg)
}
