package requestvalidation

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func TestDepth(t *testing.T) {
	f := func(n int, want bool) {
		t.Helper()
		text := strings.Repeat(`{"a":[`, n/2) + strings.Repeat("]}", n/2)
		if got := tooDeep([]byte(text)); got != want {
			t.Errorf("%d levels: %v", n, got)
		}
	}
	f(maxDepth, false)
	f(maxDepth+2, true)
	if tooDeep([]byte(`"` + strings.Repeat("[", 1000) + `\"[[["`)) {
		t.Error("brackets in a string count")
	}
}

func TestArguments(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		got, err := json.Marshal(arguments([]byte(in), map[string]kind{"n": number, "i": integer, "b": boolean}))
		if err != nil || string(got) != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	f("", `{}`)
	f("a=1&b=&c", `{"a":"1","b":"","c":true}`)
	f("a=1&a=2&a=3", `{"a":["1","2","3"]}`)
	f("a%20b=c+d%2B", `{"a b":"c d+"}`)
	f("a=%zz%4", `{"a":"%zz%4"}`)
	f("&&=x&", `{}`)
	f("n=1.5&i=7&b=true", `{"b":true,"i":7,"n":1.5}`)
	f("n=x&i=0x10&b=1&n=2", `{"b":"1","i":"0x10","n":["x",2]}`)
	f("n=Infinity", `{"n":"Infinity"}`)
}

// Both forms of a document are the same document, and what is passed on reads
// as what was checked.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5e3,"x",null,true],"a":{}}`))
	f.Add([]byte(`[[[[]]]]`))
	f.Add([]byte(`123456789012345678901234567890`))
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, exact, err := decode(text)
		if err != nil {
			return
		}
		out, err := encode(withDefaults(exact, doc))
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := decode(out)
		if err != nil || !reflect.DeepEqual(again, doc) {
			t.Fatalf("%q became %q: %v", text, out, err)
		}
	})
}

func FuzzArguments(f *testing.F) {
	f.Add("a=1&b=%20+&c&a=2")
	f.Fuzz(func(t *testing.T, s string) {
		got := arguments([]byte(s), nil)
		want, err := url.ParseQuery(s)
		if err != nil {
			return // net/url is stricter
		}
		for name, values := range want {
			if name == "" {
				continue
			}
			n := 1
			if list, ok := got[name].([]any); ok {
				n = len(list)
			}
			if got[name] == nil || n != len(values) {
				t.Fatalf("%q: %s is %v, want %q", s, name, got[name], values)
			}
		}
	})
}
