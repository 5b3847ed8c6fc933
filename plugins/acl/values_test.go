package acl

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestValues(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		if got := slices.Collect(values(text)); !slices.Equal(got, want) {
			t.Errorf("%q stands for %q, want %q", text, got, want)
		}
	}
	f("a", "a")
	f(" a ", " a ")
	f("a,b", "a", "b")
	f("a , b", "a", "b")
	f(" a ,\tb ", " a", "b ")
	f("a,", "a", "")
	f("", "")
	f(`["a","b"]`, "a", "b")
	f(`[ "a" , 5, "5", {"x":"y"}, ["z"], null, "b" ]`, "a", "5", "b")
	f(`["a\"]","\u0041"]`, `a"]`, "A")
	f(`["a"`)
	f(`[a,b]`)
	f(`[]`)
}

func TestValuesDoNotAllocate(t *testing.T) {
	for _, text := range []string{"a", "a, b, c", `["a", "b"]`} {
		n := testing.AllocsPerRun(100, func() {
			for v := range values(text) {
				_ = v
			}
		})
		if n != 0 {
			t.Errorf("%q: %v allocations, want 0", text, n)
		}
	}
}

func FuzzValues(f *testing.F) {
	f.Add(`["a","b\\"]`)
	f.Add("a , b,,")
	f.Fuzz(func(t *testing.T, text string) {
		got := slices.Collect(values(text))
		if !strings.HasPrefix(text, "[") {
			return
		}
		var want []string
		var list []any
		if json.Unmarshal([]byte(text), &list) == nil {
			for _, v := range list {
				if s, ok := v.(string); ok {
					want = append(want, s)
				}
			}
		}
		if !slices.EqualFunc(got, want, func(a, b string) bool {
			return strings.ToValidUTF8(a, "") == strings.ReplaceAll(strings.ToValidUTF8(b, ""), "\ufffd", "") || a == b
		}) {
			t.Errorf("%q stands for %q, want %q", text, got, want)
		}
	})
}
