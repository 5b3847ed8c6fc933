package responserewrite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
)

// fields are the changes to header fields, in the order in which they are made.
type fields struct {
	add, set []field
	remove   []string
}

type field struct {
	name  string
	value *vars.Template
}

// compile reads both forms: {add, set, remove}, and a bare object, which means
// set.
func (f *fields) compile(raw json.RawMessage) error {
	if len(raw) == 0 {
		return nil
	}
	var c struct {
		Add    []string                   `json:"add"`
		Set    map[string]json.RawMessage `json:"set"`
		Remove []string                   `json:"remove"`
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if dec.Decode(&c) != nil || c.Add == nil && c.Set == nil && c.Remove == nil {
		c.Add, c.Remove, c.Set = nil, nil, nil
		if err := json.Unmarshal(raw, &c.Set); err != nil {
			return fmt.Errorf("headers: %w", err)
		}
	}
	for _, line := range c.Add {
		name, value, _ := strings.Cut(line, ":")
		if err := appendField(&f.add, strings.TrimSpace(name), strings.TrimSpace(value)); err != nil {
			return err
		}
	}
	names := make([]string, 0, len(c.Set))
	for name := range c.Set {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text := string(c.Set[name])
		switch {
		case strings.HasPrefix(text, `"`):
			if err := json.Unmarshal(c.Set[name], &text); err != nil {
				return fmt.Errorf("headers.%s: %w", name, err)
			}
		case strings.HasPrefix(text, "{"), strings.HasPrefix(text, "["), text == "true", text == "false", text == "null":
			return errors.New("invalid type as header value")
		}
		if err := appendField(&f.set, name, text); err != nil {
			return err
		}
	}
	for _, name := range c.Remove {
		if err := checkName(name); err != nil {
			return err
		}
		if !ours(name) {
			f.remove = append(f.remove, strings.ToLower(name))
		}
	}
	return nil
}

func appendField(list *[]field, name, value string) error {
	if err := checkName(name); err != nil || ours(name) {
		return err
	}
	*list = append(*list, field{name, vars.CompileTemplate(value)})
	return nil
}

func checkName(name string) error {
	var probe h1.Header
	if probe.SetString(name, ""); probe.Len() == 0 {
		return fmt.Errorf("headers: %q is no name of a header field", name)
	}
	return nil
}

// ours tells whether a field says where a response ends: it follows from the
// body that is sent.
func ours(name string) bool {
	switch h1.Lookup([]byte(name)) {
	case h1.ContentLength, h1.TransferEncoding, h1.Connection:
		return true
	}
	return false
}

func (f *fields) apply(ctx *req.Ctx) {
	resp := &ctx.Resp
	for i := range f.add {
		if v := f.add[i].text(ctx); len(v) > 0 {
			resp.Add(f.add[i].name, v)
		}
	}
	for i := range f.set {
		if v := f.set[i].text(ctx); len(v) > 0 {
			resp.Set(f.set[i].name, v)
		} else {
			resp.Del(f.set[i].name)
		}
	}
	for _, name := range f.remove {
		resp.Del(name)
	}
}

func (f *field) text(ctx *req.Ctx) []byte {
	ctx.ValueBuf, _ = f.value.AppendTo(ctx.ValueBuf[:0], ctx)
	return ctx.ValueBuf
}
