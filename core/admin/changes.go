package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluicegw/sluice/core/store"
)

// changeRequest is one operation of a change set.
type changeRequest struct {
	// Method is PUT, POST, PATCH or DELETE (default PUT).
	Method string `json:"method"`
	// Path is the resource path below /apisix/admin: "/routes/1".
	Path string `json:"path"`
	// Value is the body the operation would have as a request of its own.
	Value json.RawMessage `json:"value"`
	// Force skips the delete protection.
	Force bool `json:"force"`
	// TTL is the lifetime in seconds, 0 = for ever.
	TTL float64 `json:"ttl"`
}

// changeResult is the answer to one operation.
type changeResult struct {
	Status int    `json:"status"`
	Action string `json:"action"`
	Key    string `json:"key"`
	Value  any    `json:"value,omitempty"`
}

// postChanges applies a list of operations as one, or none of them.
func (api *API) postChanges(c *call) error {
	requests, err := c.changeRequests()
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		d := api.newDraft(c.ctx)
		edits := make([]*edit, len(requests))
		for i := range requests {
			if edits[i], err = d.planRequest(i, &requests[i]); err != nil {
				return inChange(i, &requests[i], err)
			}
		}
		if faulty, err := d.verify(); err != nil {
			i := lastOf(edits, faulty)
			return inChange(i, &requests[i], err)
		}
		if len(d.edits) > api.o.Store.MaxTxnOps() {
			return invalid("the change set touches %d objects, the store takes %d in one transaction",
				len(d.edits), api.o.Store.MaxTxnOps())
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
			return c.answerChanges(edits, result.Rev)
		}
		if errors.Is(err, store.ErrTooManyOps) {
			return invalid("the change set is larger than one transaction of the store: split it")
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if attempt == casAttempts {
			return refuse(fasthttp.StatusServiceUnavailable, "value changed before overwritten: %v", err)
		}
	}
}

func (c *call) changeRequests() ([]changeRequest, error) {
	text, err := c.body(BodyLimit)
	if err != nil {
		return nil, err
	}
	var set struct {
		Changes []changeRequest `json:"changes"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, invalid("invalid request body: %v", err)
	}
	if len(set.Changes) == 0 {
		return nil, invalid("invalid request body: \"changes\" must hold at least one operation")
	}
	if len(set.Changes) > MaxChanges {
		return nil, invalid("a change set may hold %d operations, this one has %d: split it", MaxChanges, len(set.Changes))
	}
	return set.Changes, nil
}

// planRequest plans the operation at index i.
func (d *draft) planRequest(i int, r *changeRequest) (*edit, error) {
	path := strings.TrimPrefix(r.Path, base)
	segments := strings.Split(strings.Trim(path, "/"), "/")
	if segments[0] == "stream_routes" && !d.api.o.StreamEnabled {
		return nil, invalid("stream mode is disabled, can not add stream routes")
	}
	a, ok := parseAddress(segments)
	if !ok {
		return nil, refuse(fasthttp.StatusNotFound, "Unsupported resource type: %s", segments[0])
	}
	method := strings.ToUpper(r.Method)
	if method == "" {
		method = "PUT"
	}
	v := verbs[method]
	if v == 0 || v == verbGet {
		return nil, invalid("method %q is none of PUT, POST, PATCH, DELETE", r.Method)
	}
	if a.res.refused&v != 0 {
		return nil, refuse(fasthttp.StatusMethodNotAllowed, "not supported `%s` method for %s", method, a.res.label)
	}
	if len(a.sub) > 0 && v != verbPatch {
		return nil, refuse(fasthttp.StatusNotFound, "not found: only PATCH takes a sub-path")
	}
	if r.TTL < 0 || r.TTL > 10*365*24*3600 {
		return nil, invalid("invalid argument ttl: should be between 1 second and 10 years")
	}
	ttl := (time.Duration(r.TTL*1000) * time.Millisecond).Round(time.Second)
	var body any
	if len(r.Value) > 0 {
		var err error
		if body, err = decode(r.Value); err != nil {
			return nil, invalid("invalid value: %v", err)
		}
	}
	switch v {
	case verbDelete:
		return d.planDelete(a, r.Force)
	case verbPatch:
		return d.planPatch(a, body, len(r.Value) > 0, ttl)
	case verbPost:
		return d.planPost(i, a, body, ttl)
	}
	return d.planWrite(a, v, body, ttl)
}

// planPost keeps the objects of several POSTs apart until they have ids.
func (d *draft) planPost(i int, a address, body any, ttl time.Duration) (*edit, error) {
	e, err := d.planWrite(a, verbPost, body, ttl)
	if err != nil {
		return nil, err
	}
	delete(d.at, objectKey{e.res.kind, e.id})
	e.id = fmt.Sprintf("%d%s", i, pendingID)
	d.at[objectKey{e.res.kind, e.id}] = e
	return e, nil
}

// lastOf finds the last operation on an object: the one that gave it its
// final state.
func lastOf(edits []*edit, e *edit) int {
	for i := len(edits) - 1; i >= 0; i-- {
		if edits[i] == e {
			return i
		}
	}
	panic("BUG: an edit of no operation")
}

// inChange says which operation a failure belongs to.
func inChange(i int, r *changeRequest, err error) error {
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	text := ""
	switch b := f.body.(type) {
	case errorBody:
		text = b.Msg
	case map[string]string:
		text = b["message"]
	default:
		text = fmt.Sprint(b)
	}
	return &failure{status: f.status, body: struct {
		Msg   string `json:"error_msg"`
		Index int    `json:"index"`
	}{fmt.Sprintf("change %d (%s): %s", i, r.Path, text), i}}
}

func (c *call) answerChanges(edits []*edit, rev int64) error {
	results := make([]changeResult, len(edits))
	for i, e := range edits {
		r := changeResult{Status: fasthttp.StatusOK, Action: e.action(), Key: c.api.keyOf(e.res.kind, e.id)}
		if e.after != nil {
			if e.before == nil {
				r.Status = fasthttp.StatusCreated
			}
			shown, err := c.api.show(e.res, e.id, e.stored)
			if err != nil {
				panic("BUG: the value just written cannot be read: " + err.Error())
			}
			r.Value = shown
		}
		results[i] = r
	}
	return c.answer(fasthttp.StatusOK, struct {
		Revision int64          `json:"revision"`
		Results  []changeResult `json:"results"`
	}{rev, results})
}
