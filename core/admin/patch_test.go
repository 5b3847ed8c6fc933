package admin

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/conf"
)

// Trap 9 of the contract: PATCH null deletes, arrays replace.
func TestMerge(t *testing.T) {
	f := func(value, patch, want string) {
		t.Helper()
		v, p := mustDecode(t, value), mustDecode(t, patch)
		merge(v, p)
		if !reflect.DeepEqual(v, mustDecode(t, want)) {
			t.Errorf("%s + %s = %s, want %s", value, patch, compact(v), want)
		}
	}
	f(`{"a":1}`, `{"b":2}`, `{"a":1,"b":2}`)
	f(`{"a":1}`, `{"a":null}`, `{}`)
	f(`{"a":{"b":1,"c":2}}`, `{"a":{"b":null}}`, `{"a":{"c":2}}`)
	f(`{"a":{"b":1}}`, `{"a":{"c":2}}`, `{"a":{"b":1,"c":2}}`)
	f(`{"a":[1,2,3]}`, `{"a":[4]}`, `{"a":[4]}`)
	f(`{"a":{"b":1}}`, `{"a":[4]}`, `{"a":[4]}`)
	f(`{"a":[1]}`, `{"a":{"b":1}}`, `{"a":{"b":1}}`)
	f(`{"a":1}`, `{"a":{"b":1}}`, `{"a":{"b":1}}`)
	f(`{"a":{"b":1}}`, `{"a":1}`, `{"a":1}`)
	f(`{"a":{"b":1}}`, `{"a":{}}`, `{"a":{}}`)
	f(`{}`, `{"a":{"b":null,"c":1}}`, `{"a":{"c":1}}`)
	f(`{"nodes":{"127.0.0.1:80":1}}`, `{"nodes":{"127.0.0.1:80":null,"127.0.0.2:80":1}}`, `{"nodes":{"127.0.0.2:80":1}}`)
}

func mustDecode(t testing.TB, text string) map[string]any {
	t.Helper()
	v, err := decodeObject([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestPatch(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{{"PUT", "/routes/1", `{"uri":"/a","labels":{"x":"1","y":"2"},"methods":["GET","PUT"]}`, 201, ""}})
	b.later(5 * time.Second)
	const at5 = `"create_time":1700000000,"update_time":1700000005`
	b.run([]step{
		{"PATCH", "/routes/1", `{"labels":{"x":null,"z":"3"},"methods":["POST"]}`, 200,
			`{"key":"/apisix/routes/1","value":{"id":"1","uri":"/a","labels":{"y":"2","z":"3"},"methods":["POST"],` + at5 + `}}`},
		{"PATCH", "/routes/1/labels/y", `"new"`, 200, `~"y":"new"`},
		{"PATCH", "/routes/1/methods", `["GET"]`, 200, `~"methods":["GET"]`},
		{"PATCH", "/routes/1/a/b/c", `1`, 200, `~"a":{"b":{"c":1}}`},
		{"PATCH", "/routes/1/uri/x", `1`, 400, `{"error_msg":"invalid sub-path: /uri"}`},
		{"PATCH", "/routes/1/methods/0", `"GET"`, 400, `{"error_msg":"invalid sub-path: /methods"}`},
		{"PATCH", "/routes/1/desc", `7`, 400, `~invalid configuration: property \"desc\"`},
		{"PATCH", "/routes/1", `{"uri":null}`, 400, `{"error_msg":"invalid configuration: property \"uri\" is required"}`},
		{"PATCH", "/routes/1", `{"id":"2"}`, 400, `{"error_msg":"wrong route id"}`},
		{"PATCH", "/routes/1", `{"update_time":5}`, 200, `~"update_time":5`},
		{"PATCH", "/routes/1/update_time", `6`, 200, `~"update_time":1700000005`},
		{"GET", "/routes/1", ``, 200, `~"uri":"/a"`},
	})
}

func TestPatchThatLosesTheRaceIs503(t *testing.T) {
	b := newBench(t, nil)
	b.run([]step{{"PUT", "/routes/1", `{"uri":"/a"}`, 201, ""}})
	b.store.beforeTxn = func() { b.store.put(conf.KindRoute, "1", `{"id":"1","uri":"/other"}`) }
	b.run([]step{
		{"PATCH", "/routes/1", `{"desc":"x"}`, 503, `{"error_msg":"value changed before overwritten"}`},
		{"GET", "/routes/1", "", 200, `~"uri":"/other"`},
	})
}

func TestPutThatLosesTheRaceIsPlannedAgain(t *testing.T) {
	b := newBench(t, nil)
	b.store.beforeTxn = func() { b.store.put(conf.KindRoute, "1", `{"id":"1","uri":"/other","create_time":7}`) }
	b.run([]step{{"PUT", "/routes/1", `{"uri":"/a"}`, 200,
		`{"key":"/apisix/routes/1","value":{"id":"1","uri":"/a","create_time":7,"update_time":1700000000}}`}})
	if len(b.journal) != 1 || !strings.Contains(string(b.journal[0].Before), "/other") {
		t.Fatalf("journal %v", b.journal)
	}
}

func FuzzMerge(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"a":{"b":1}}`, `{"a":{"b":null}}`}, {`{}`, `{"a":[{}]}`}, {`{"a":[1]}`, `{"a":{"b":{"c":null}}}`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, value, patch string) {
		v, err := decodeObject([]byte(value))
		if err != nil {
			return
		}
		p, err := decodeObject([]byte(patch))
		if err != nil {
			return
		}
		named := clone(p).(map[string]any)
		merge(v, p)
		for name, change := range named {
			got, present := v[name]
			if change == nil && present {
				t.Fatalf("%q was to be deleted", name)
			}
			if change != nil && !present {
				t.Fatalf("%q was lost", name)
			}
			if list, ok := change.([]any); ok && !reflect.DeepEqual(got, any(list)) {
				t.Fatalf("array %q did not replace", name)
			}
		}
		if _, err := json.Marshal(v); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzSetAt(f *testing.F) {
	f.Add(`{"a":{"b":1}}`, "a/b", `2`)
	f.Add(`{"a":[1]}`, "a/0", `{}`)
	f.Add(`{}`, "a/b/c", `null`)
	f.Fuzz(func(t *testing.T, value, path, change string) {
		v, err := decodeObject([]byte(value))
		if err != nil {
			return
		}
		c, err := decode([]byte(change))
		if err != nil {
			return
		}
		parts := strings.Split(path, "/")
		if setAt(v, parts, c) != nil {
			return
		}
		var at any = v
		for _, p := range parts {
			at = at.(map[string]any)[p]
		}
		if !reflect.DeepEqual(at, c) {
			t.Fatalf("%v at %s, want %v", at, path, c)
		}
	})
}
