package admin

import (
	"errors"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluicegw/sluice/core/store"
)

const (
	// warningsHeader carries the lint hook's texts.
	warningsHeader = "X-Sluice-Warnings"
	// maxWarnings and maxWarningBytes bound that header.
	maxWarnings     = 20
	maxWarningBytes = 4096
)

// write plans one edit, verifies and commits it, and answers. With once a lost
// race is the client's to resolve, else the edit is planned again.
func (c *call) write(plan func(*draft) (*edit, error), once bool) error {
	for attempt := 1; ; attempt++ {
		d := c.api.newDraft(c.ctx)
		e, err := plan(d)
		if err != nil {
			return err
		}
		if _, err := d.verify(); err != nil {
			return err
		}
		if c.flag("dry_run") {
			return c.answerTrial(d)
		}
		if err := d.settlePending(); err != nil {
			return err
		}
		result, err := d.commit()
		if err == nil {
			c.accepted(d, result)
			return c.answerWrite(e)
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if once || attempt == casAttempts {
			return refuse(fasthttp.StatusServiceUnavailable, "value changed before overwritten")
		}
	}
}

// settlePending gives the edits of POSTs their ids.
func (d *draft) settlePending() error {
	for _, e := range d.edits {
		if !strings.HasSuffix(e.id, pendingID) {
			continue
		}
		id, err := d.api.o.Store.NextID(d.ctx)
		if err != nil {
			return err
		}
		delete(d.at, objectKey{e.res.kind, e.id})
		e.id = id
		e.after["id"] = id
		d.at[objectKey{e.res.kind, e.id}] = e
		d.seal(e)
	}
	return nil
}

// accepted tells the journal and the lint hook.
func (c *call) accepted(d *draft, result store.TxnResult) {
	changes := c.changes(d)
	for i := range changes {
		changes[i].Rev = result.Rev
	}
	if c.api.o.Journal != nil && len(changes) > 0 {
		c.api.o.Journal(changes)
	}
	c.warn(d, changes)
}

// changes lists what a draft does, removals below a removed object included.
func (c *call) changes(d *draft) []Change {
	now := c.api.o.Now()
	changes := make([]Change, 0, len(d.edits))
	add := func(ch Change) {
		ch.Time, ch.Admin = now, c.who.name
		if c.who.address.IsValid() {
			ch.Address = c.who.address.String()
		}
		changes = append(changes, ch)
	}
	for _, e := range d.edits {
		ch := Change{Action: e.action(), Kind: e.res.kind, ID: e.id, After: e.stored}
		if e.before != nil {
			ch.Before = e.before.Value
		}
		if ch.Before == nil && e.after == nil {
			continue
		}
		for _, o := range e.below {
			if _, own := d.at[objectKey{o.Kind, o.ID}]; !own {
				add(Change{Action: "delete", Kind: o.Kind, ID: o.ID, Before: o.Value})
			}
		}
		add(ch)
	}
	return changes
}

// warn sets the warnings header from the checks and the lint hook.
func (c *call) warn(d *draft, changes []Change) {
	var texts []string
	for _, e := range d.edits {
		texts = append(texts, e.warnings...)
	}
	if c.api.o.Lint != nil && len(changes) > 0 {
		texts = append(texts, c.api.o.Lint(changes)...)
	}
	if len(texts) == 0 {
		return
	}
	if len(texts) > maxWarnings {
		texts = texts[:maxWarnings]
	}
	line := strings.Map(headerSafe, strings.Join(texts, "; "))
	if len(line) > maxWarningBytes {
		line = line[:maxWarningBytes]
	}
	c.http.Response.Header.Set(warningsHeader, line)
}

// headerSafe keeps a header one line of visible ASCII.
func headerSafe(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}

// answerWrite answers the write of one object.
func (c *call) answerWrite(e *edit) error {
	key := c.api.keyOf(e.res.kind, e.id)
	if e.after == nil {
		// The count is a string in APISIX, and clients depend on it.
		return c.answer(fasthttp.StatusOK, struct {
			Key     string `json:"key"`
			Deleted string `json:"deleted"`
		}{key, "1"})
	}
	status := fasthttp.StatusOK
	if e.before == nil {
		status = fasthttp.StatusCreated
	}
	value, err := c.api.show(e.res, e.id, e.stored)
	if err != nil {
		panic("BUG: the value just written cannot be read: " + err.Error())
	}
	return c.answer(status, node{Key: key, Value: value})
}
