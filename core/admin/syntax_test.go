package admin

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestSyntaxErrorsAreWordedAsInAPISIX(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := syntaxError([]byte(text)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	f(`{"a":[1,-2.5e+3,"x\u00e4\n",true,false,null,{}]}`, "")
	f(``, "Expected value but found T_END at character 1")
	f(`abc`, "Expected value but found invalid token at character 1")
	f(`{a:1}`, "Expected object key string but found invalid token at character 2")
	f(`{"a" 1}`, "Expected colon but found T_NUMBER at character 6")
	f(`{"a":}`, "Expected value but found T_OBJ_END at character 6")
	f(`{"a":1`, "Expected comma or object end but found T_END at character 7")
	f(`{"a":1,}`, "Expected object key string but found T_OBJ_END at character 8")
	f(`[1 2]`, "Expected comma or array end but found T_NUMBER at character 4")
	f(`[1,]`, "Expected value but found T_ARR_END at character 4")
	f(`{} x`, "Expected the end but found invalid token at character 4")
	f(`{"a":"b`, "Expected value but found unexpected end of string at character 8")
	f(`["\x"]`, "Expected value but found invalid escape code at character 3")
	f(`["\u12g4"]`, "Expected value but found invalid unicode escape code at character 3")
	f(`[01]`, "Expected value but found invalid number at character 2")
	f(strings.Repeat("[", 1001), "Found too many nested data structures (1001) at character 1001")
}

func FuzzSyntaxError(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2]}`, `{"a":-`, `[1e5,"\u0041"]`, `nul`, "\"\x01\""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if json.Valid([]byte(text)) && syntaxError([]byte(text)) != "" && !strings.Contains(text, strings.Repeat("[", 10)) {
			t.Fatalf("%q is JSON but: %s", text, syntaxError([]byte(text)))
		}
	})
}
