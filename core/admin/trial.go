package admin

import (
	"encoding/json"
	"sort"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// maxDifferences bounds the differences listed per object of a trial.
const maxDifferences = 200

// trial is the answer to a write with dry_run=true.
type trial struct {
	DryRun  bool          `json:"dry_run"`
	Changes []trialChange `json:"changes"`
}

type trialChange struct {
	// Action is create, update, delete or none.
	Action string `json:"action"`
	Key    string `json:"key"`
	// Value is what the object would be, absent for a removal.
	Value any `json:"value,omitempty"`
	// Differences lists the fields an update changes, times left out.
	Differences []difference `json:"differences,omitempty"`
	// Truncated tells that there are more differences than listed.
	Truncated bool `json:"truncated,omitempty"`
}

// difference is one changed field; From or To is absent where the field is.
type difference struct {
	// Path is a JSON pointer.
	Path string `json:"path"`
	From any    `json:"from,omitempty"`
	To   any    `json:"to,omitempty"`
}

// answerTrial tells what a verified draft would do, and writes nothing.
func (c *call) answerTrial(d *draft) error {
	answer := trial{DryRun: true, Changes: []trialChange{}}
	for _, e := range d.edits {
		for _, o := range e.below {
			answer.Changes = append(answer.Changes, trialChange{Action: "delete", Key: c.api.keyOf(o.Kind, o.ID)})
		}
		id := e.id
		if strings.HasSuffix(id, pendingID) {
			id = pendingID
		}
		t := trialChange{Action: e.action(), Key: c.api.keyOf(e.res.kind, id)}
		if e.after != nil {
			shown, err := c.api.show(e.res, e.id, e.stored)
			if err != nil {
				panic("BUG: a planned value cannot be read: " + err.Error())
			}
			t.Value = shown
			if e.before != nil {
				c.compare(&t, e, shown)
			}
		}
		answer.Changes = append(answer.Changes, t)
	}
	c.warn(d, c.changes(d))
	return c.answer(fasthttp.StatusOK, answer)
}

func (c *call) compare(t *trialChange, e *edit, after map[string]any) {
	before, err := c.api.show(e.res, e.id, e.before.Value)
	if err != nil {
		before = map[string]any{}
	}
	diff := differ{}
	for _, name := range unionNames(before, after) {
		if name != "create_time" && name != "update_time" {
			diff.walk("/"+pointerPart(name), before[name], after[name])
		}
	}
	t.Differences, t.Truncated = diff.found, diff.truncated
	if len(diff.found) == 0 && !hiddenChanged(e) {
		t.Action = "none"
	}
}

// hiddenChanged tells whether a field that is never shown changes.
func hiddenChanged(e *edit) bool {
	before, err := decodeObject(e.before.Value)
	if err != nil {
		return true
	}
	after, err := decodeObject(e.stored)
	if err != nil {
		return true
	}
	for _, name := range e.res.hidden {
		if string(compact(before[name])) != string(compact(after[name])) {
			return true
		}
	}
	return false
}

type differ struct {
	found     []difference
	truncated bool
}

func (d *differ) walk(path string, from, to any) {
	a, aok := from.(map[string]any)
	b, bok := to.(map[string]any)
	if aok && bok {
		for _, name := range unionNames(a, b) {
			d.walk(path+"/"+pointerPart(name), a[name], b[name])
		}
		return
	}
	x, xok := from.([]any)
	y, yok := to.([]any)
	if xok && yok && len(x) == len(y) {
		for i := range x {
			d.walk(path+"/"+strconv.Itoa(i), x[i], y[i])
		}
		return
	}
	if sameJSON(from, to) {
		return
	}
	if len(d.found) == maxDifferences {
		d.truncated = true
		return
	}
	d.found = append(d.found, difference{path, from, to})
}

func sameJSON(a, b any) bool {
	x, xok := a.(json.Number)
	y, yok := b.(json.Number)
	if xok && yok && x != y {
		f, ferr := x.Float64()
		g, gerr := y.Float64()
		return ferr == nil && gerr == nil && f == g
	}
	if (a == nil) != (b == nil) {
		return false
	}
	return string(compact(a)) == string(compact(b))
}

func unionNames(a, b map[string]any) []string {
	names := make([]string, 0, len(a)+len(b))
	for name := range a {
		names = append(names, name)
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// pointerPart escapes a field name for a JSON pointer (RFC 6901).
func pointerPart(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
