package conf

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Notice names a key of config.yaml that does not do what it says.
type Notice struct {
	Path string
	Line int
	// Why says why, and what to use instead where there is something.
	Why string
}

// String is one line for the log.
func (n Notice) String() string { return fmt.Sprintf("line %d: %s: %s", n.Line, n.Path, n.Why) }

// custom is implemented by settings that are written in several forms.
type custom interface {
	fromYAML(d *decoder, n *yaml.Node, path string)
	fromText(text string) error
}

// decoder walks a YAML tree along the types of Settings.
type decoder struct {
	file    string
	notices []Notice
	errs    []error
	// filled are the scalars that came out of ${{...}}: they may stand for any
	// type.
	filled map[*yaml.Node]bool
	taken  []taken
}

// maxSettingErrors bounds what one bad file makes us say.
const maxSettingErrors = 20

func (d *decoder) fail(n *yaml.Node, path, format string, args ...any) {
	if len(d.errs) < maxSettingErrors {
		d.errs = append(d.errs, fmt.Errorf("%s:%d: %s: %s", d.file, n.Line, path, fmt.Sprintf(format, args...)))
	}
}

func (d *decoder) wrong(n *yaml.Node, path, expected string) {
	d.fail(n, path, "expected %s, not %s", expected, describe(n))
}

func (d *decoder) notice(n *yaml.Node, path, why string) {
	d.notices = append(d.notices, Notice{Path: path, Line: n.Line, Why: why})
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	value := n.Value
	if len(value) > 40 {
		value = value[:40] + "..."
	}
	switch n.ShortTag() {
	case "!!str":
		return fmt.Sprintf("the string %q", value)
	case "!!null":
		return "nothing"
	}
	return value
}

// resolve follows aliases.
func (d *decoder) resolve(n *yaml.Node) *yaml.Node {
	for range 8 {
		if n.Kind != yaml.AliasNode {
			break
		}
		n = n.Alias
	}
	return n
}

// structure fills the struct that to points to. Keys without a field become
// notices.
func (d *decoder) structure(n *yaml.Node, to any, path string) {
	d.fields(n, reflect.ValueOf(to).Elem(), path)
}

// decode fills what to points to.
func (d *decoder) decode(n *yaml.Node, to any, path string, tag reflect.StructTag) {
	d.value(n, reflect.ValueOf(to).Elem(), path, tag)
}

type pair struct{ key, value *yaml.Node }

// pairs lists a mapping's entries, those of merge keys first.
func (d *decoder) pairs(n *yaml.Node, path string) []pair {
	var out []pair
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], d.resolve(n.Content[i+1])
		if key.ShortTag() == "!!merge" {
			if value.Kind == yaml.MappingNode && value != n {
				for j := 0; j+1 < len(value.Content); j += 2 {
					out = append(out, pair{value.Content[j], d.resolve(value.Content[j+1])})
				}
			}
			continue
		}
		if line, ok := seen[key.Value]; ok {
			d.fail(key, join(path, key.Value), "the key is given twice, first on line %d", line)
			continue
		}
		seen[key.Value] = key.Line
		out = append(out, pair{key, value})
	}
	return out
}

func join(path, key string) string {
	if key == "" {
		key = `""` // An empty key still has to be named.
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func (d *decoder) fields(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return // "key:" with nothing behind it leaves the defaults.
	}
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "a mapping")
		return
	}
	byName, rest := fieldsByName(v.Type())
	for _, p := range d.pairs(n, path) {
		at := join(path, p.key.Value)
		if i, ok := byName[p.key.Value]; ok {
			d.value(p.value, v.Field(i), at, v.Type().Field(i).Tag)
			continue
		}
		if why := meaningless(at); why != "" {
			d.notice(p.key, at, why)
			continue
		}
		if strings.HasSuffix(at, "_configuration_snippet") {
			d.snippet(p.value, at)
			continue
		}
		if rest >= 0 {
			d.rawInto(v.Field(rest), p, at)
			continue
		}
		d.notice(p.key, at, "unknown key, ignored")
	}
}

func fieldsByName(t reflect.Type) (byName map[string]int, rest int) {
	byName, rest = make(map[string]int, t.NumField()), -1
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("yaml")
		switch name {
		case "":
		case ",rest":
			rest = i
		default:
			byName[name] = i
		}
	}
	return byName, rest
}

func (d *decoder) rawInto(v reflect.Value, p pair, path string) {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	if text, ok := d.raw(p.value, path); ok {
		v.SetMapIndex(reflect.ValueOf(p.key.Value), reflect.ValueOf(text))
	}
}

// raw turns a subtree into JSON, for those who know its form.
func (d *decoder) raw(n *yaml.Node, path string) (json.RawMessage, bool) {
	var v any
	if err := n.Decode(&v); err != nil {
		d.fail(n, path, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil, false
	}
	text, err := json.Marshal(v)
	if err != nil {
		d.fail(n, path, "only keys that are strings are possible here")
		return nil, false
	}
	return text, true
}

var (
	rawType      = reflect.TypeFor[json.RawMessage]()
	durationType = reflect.TypeFor[time.Duration]()
)

func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	n = d.resolve(n)
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return
	}
	if v.Type() == rawType {
		if text, ok := d.raw(n, path); ok {
			v.Set(reflect.ValueOf(text))
		}
		return
	}
	if c, ok := v.Addr().Interface().(custom); ok {
		c.fromYAML(d, n, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		target := reflect.New(v.Type().Elem())
		if target.Elem().Kind() == reflect.Struct {
			setDefaults(target.Elem())
		}
		d.value(n, target.Elem(), path, tag)
		v.Set(target)
	case reflect.Struct:
		d.fields(n, v, path)
	case reflect.Slice:
		d.list(n, v, path, tag)
	case reflect.Map:
		if n.Kind != yaml.MappingNode {
			d.wrong(n, path, "a mapping")
			return
		}
		for _, p := range d.pairs(n, path) {
			d.rawInto(v, p, join(path, p.key.Value))
		}
	default:
		if n.Kind != yaml.ScalarNode {
			d.wrong(n, path, expectation(v, tag))
			return
		}
		d.scalar(n, v, path, tag)
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, path, "a list")
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	for i, item := range n.Content {
		one := reflect.New(v.Type().Elem()).Elem()
		if one.Kind() == reflect.Struct {
			setDefaults(one)
		}
		d.value(item, one, fmt.Sprintf("%s[%d]", path, i), tag)
		out = reflect.Append(out, one)
	}
	v.Set(out)
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	kind := n.ShortTag()
	anyType := d.filled[n]
	text := n.Value
	ok := true
	switch {
	case tag.Get("kind") == "onoff":
		ok = anyType || kind == "!!bool" || kind == "!!str"
	case tag.Get("kind") == "duration" || tag.Get("kind") == "size":
		ok = anyType || kind == "!!int" || kind == "!!float" || kind == "!!str"
	case v.Kind() == reflect.String:
		ok = anyType || kind == "!!str"
	case v.Kind() == reflect.Bool:
		ok = anyType || kind == "!!bool"
	case v.Kind() == reflect.Float64:
		ok = anyType || kind == "!!int" || kind == "!!float"
	default:
		ok = anyType || kind == "!!int"
	}
	if !ok {
		d.wrong(n, path, expectation(v, tag))
		return
	}
	if err := setText(v, text, tag); err != nil {
		d.fail(n, path, "%s", err)
		return
	}
	if err := checkLimits(v, tag); err != nil {
		d.fail(n, path, "%s", err)
	}
}

func expectation(v reflect.Value, tag reflect.StructTag) string {
	switch kind := tag.Get("kind"); {
	case kind == "duration":
		return `a duration (seconds, or such as "60s")`
	case kind == "size":
		return `a size (bytes, or such as "20m")`
	case kind == "onoff":
		return "on or off"
	case v.Kind() == reflect.String:
		return "a string"
	case v.Kind() == reflect.Bool:
		return "true or false"
	case v.Kind() == reflect.Float64:
		return "a number"
	}
	return "an integer"
}

// setText sets a scalar from its text in the file or in a default tag.
func setText(v reflect.Value, text string, tag reflect.StructTag) error {
	switch {
	case v.Type() == durationType:
		t, err := ParseDuration(text)
		v.SetInt(int64(t))
		return err
	case tag.Get("kind") == "size":
		n, err := ParseSize(text)
		v.SetInt(n)
		return err
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		switch strings.ToLower(text) {
		case "true", "on", "yes":
			v.SetBool(true)
		case "false", "off", "no":
			v.SetBool(false)
		default:
			return fmt.Errorf("expected %s, not %q", expectation(v, tag), text)
		}
	case v.CanInt():
		n, err := strconv.ParseInt(text, 0, 64)
		if err != nil || v.OverflowInt(n) {
			return fmt.Errorf("expected an integer, not %q", text)
		}
		v.SetInt(n)
	case v.CanUint():
		n, err := strconv.ParseUint(text, 0, 64)
		if err != nil || v.OverflowUint(n) {
			return fmt.Errorf("expected an integer that is not negative, not %q", text)
		}
		v.SetUint(n)
	case v.CanFloat():
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("expected a number, not %q", text)
		}
		v.SetFloat(f)
	default:
		panic("BUG: a setting of type " + v.Type().String())
	}
	return nil
}

func checkLimits(v reflect.Value, tag reflect.StructTag) error {
	if words := tag.Get("oneof"); words != "" {
		for word := range strings.SplitSeq(words, "|") {
			if v.String() == word {
				return nil
			}
		}
		return fmt.Errorf("%q is none of %s", v.String(), strings.ReplaceAll(words, "|", ", "))
	}
	for _, limit := range []string{"min", "max"} {
		text := tag.Get(limit)
		if text == "" || !v.CanInt() {
			continue
		}
		bound := reflect.New(v.Type()).Elem()
		if err := setText(bound, strings.TrimPrefix(text, "-"), tag); err != nil {
			panic("BUG: limit " + text + ": " + err.Error())
		}
		b := bound.Int()
		if strings.HasPrefix(text, "-") {
			b = -b
		}
		if limit == "min" && v.Int() < b || limit == "max" && v.Int() > b {
			return fmt.Errorf("must be at %s %s", map[string]string{"min": "least", "max": "most"}[limit], text)
		}
	}
	return nil
}

// setDefaults fills a struct from its default tags.
func setDefaults(v reflect.Value) {
	t := v.Type()
	for i := range t.NumField() {
		f, tag := v.Field(i), t.Field(i).Tag
		text, ok := tag.Lookup("default")
		switch {
		case ok:
			var err error
			if c, isCustom := f.Addr().Interface().(custom); isCustom {
				err = c.fromText(text)
			} else {
				err = setText(f, text, tag)
			}
			if err != nil {
				panic(fmt.Sprintf("BUG: default of %s.%s: %s", t.Name(), t.Field(i).Name, err))
			}
		case f.Kind() == reflect.Struct && tag.Get("yaml") != "":
			setDefaults(f)
		}
	}
}
