package schema

import (
	"encoding/json"
	"testing"
)

// The expected texts are those of APISIX's JSON Schema library.
func TestErrorTexts(t *testing.T) {
	f := func(schema, value, want string) {
		t.Helper()
		s, err := Compile([]byte(schema))
		if err != nil {
			t.Fatalf("%s: %s", schema, err)
		}
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			t.Fatal(err)
		}
		_, err = s.Apply(v)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("schema %s, value %s\n got %s\nwant %s", schema, value, got, want)
		}
	}

	// types
	f(`{"type":"integer"}`, `1`, "")
	f(`{"type":"integer"}`, `1.0`, "")
	f(`{"type":"integer"}`, `1e3`, "")
	f(`{"type":"integer"}`, `1.5`, "wrong type: expected integer, got number")
	f(`{"type":"integer"}`, `"1"`, "wrong type: expected integer, got string")
	f(`{"type":"number"}`, `true`, "wrong type: expected number, got boolean")
	f(`{"type":"string"}`, `null`, "wrong type: expected string, got userdata")
	f(`{"type":"string"}`, `{}`, "wrong type: expected string, got table")
	f(`{"type":"object"}`, `[1]`, "wrong type: expected object, got table")
	f(`{"type":"object"}`, `[]`, "")
	f(`{"type":"array"}`, `{}`, "")
	f(`{"type":"array"}`, `{"a":1}`, "wrong type: expected array, got table")
	f(`true`, `1`, "")
	f(`false`, `1`, "expect false always")

	// properties
	f(`{"properties":{"a":{"type":"integer"}}}`, `{"a":"x"}`,
		`property "a" validation failed: wrong type: expected integer, got string`)
	f(`{"properties":{"a":{"properties":{"b":{"type":"string"}}}}}`, `{"a":{"b":1}}`,
		`property "a" validation failed: property "b" validation failed: wrong type: expected string, got number`)
	f(`{"properties":{"a":{}},"required":["a"]}`, `{}`, `property "a" is required`)
	f(`{"required":["z","a"]}`, `{}`, `property "z" is required`)
	f(`{"properties":{"b":{},"a":{"type":"string"}},"required":["b"]}`, `{"a":1}`,
		`property "a" validation failed: wrong type: expected string, got number`)
	f(`{"properties":{"a":{}},"additionalProperties":false}`, `{"a":1,"y":1,"x":1}`,
		"additional properties forbidden, found x")
	f(`{"additionalProperties":{"type":"string"}}`, `{"x":1}`,
		"failed to validate additional property x: wrong type: expected string, got number")
	f(`{"patternProperties":{".*":{"type":"string"}}}`, `{"k":1}`,
		`failed to validate k (matching ".*"): wrong type: expected string, got number`)
	f(`{"patternProperties":{"^a":{}},"additionalProperties":false}`, `{"ab":1,"b":2}`,
		"additional properties forbidden, found b")
	f(`{"minProperties":1}`, `{}`, "expect object to have at least 1 properties")
	f(`{"maxProperties":1}`, `{"a":1,"b":2}`, "expect object to have at most 1 properties")
	f(`{"properties":{"a":{}},"dependencies":{"a":["b"]}}`, `{"a":1}`, `property "b" is required when "a" is set`)
	f(`{"dependencies":{"a":["b"]}}`, `{"a":1}`, `property "b" is required when "a" is set`)
	f(`{"dependencies":{"a":{"required":["b"]}}}`, `{"a":1}`,
		`failed to validate dependent schema for "a": property "b" is required`)
	f(`{"dependencies":{"a":{"required":["b"]}}}`, `{"c":1}`, "")

	// arrays
	f(`{"minItems":1}`, `[]`, "expect array to have at least 1 items")
	f(`{"maxItems":1}`, `[1,2]`, "expect array to have at most 1 items")
	f(`{"items":{"type":"string"}}`, `["a",1]`, "failed to validate item 2: wrong type: expected string, got number")
	f(`{"items":[{"type":"string"}],"additionalItems":false}`, `["a",1]`, "found unexpected extra items in array")
	f(`{"items":[{"type":"string"}],"additionalItems":{"type":"string"}}`, `["a",1]`,
		"failed to validate additional item 2: wrong type: expected string, got number")
	f(`{"uniqueItems":true}`, `["a","b","a"]`, "expected unique items but items 1 and 3 are equal")
	f(`{"uniqueItems":true}`, `[{"a":1},{"a":1}]`, "expected unique items but items 1 and 2 are equal")
	f(`{"uniqueItems":true}`, `[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,2]`,
		"expected unique items but items 2 and 18 are equal")
	f(`{"contains":{"type":"string"}}`, `[1]`, "failed to check contains")

	// strings
	f(`{"minLength":2}`, `"a"`, "string too short, expected at least 2, got 1")
	f(`{"maxLength":2}`, `"äöü"`, "string too long, expected at most 2, got 3")
	f(`{"pattern":"^\\S+$"}`, `"a b"`, `failed to match pattern "^\\S+$" with "a b"`)
	f(`{"pattern":"^a$"}`, `"\"\n"`, "failed to match pattern \"^a$\" with \"\\\"\\\n\"")
	f(`{"pattern":"^(?!tag=)[ -~]*"}`, `"tag=1"`, `failed to match pattern "^(?!tag=)[ -~]*" with "tag=1"`)
	f(`{"pattern":"^(?!tag=)[ -~]*"}`, `"x"`, "")
	f(`{"format":"ipv4"}`, `"1.2.3.256"`, "expect valid ipv4 address but got: 1.2.3.256")
	f(`{"format":"ipv4"}`, `"::1"`, "expect valid ipv4 address but got: ::1")
	f(`{"format":"ipv6"}`, `"fe80::1%eth0"`, "expect valid ipv6 address but got: fe80::1%eth0")
	f(`{"format":"ipv6"}`, `"::1"`, "")

	// numbers
	f(`{"minimum":1}`, `0`, "expected 0 to be at least 1")
	f(`{"maximum":599}`, `600`, "expected 600 to be at most 599")
	f(`{"exclusiveMinimum":0}`, `0`, "expected 0 to be greater than 0")
	f(`{"exclusiveMaximum":1}`, `1.5`, "expected 1.5 to be smaller than 1")
	f(`{"multipleOf":2}`, `3`, "expected 3 to be a multiple of 2")

	// choices
	f(`{"enum":["a",1,true]}`, `"b"`, "matches none of the enum values")
	f(`{"enum":["a",1,true]}`, `1.0`, "")
	f(`{"const":1}`, `2`, "failed to check const value")
	f(`{"allOf":[{},{"required":["a"]}]}`, `{}`, `allOf 2 failed: property "a" is required`)
	f(`{"anyOf":[{"required":["a"]},{"required":["b","c"]}]}`, `{}`,
		`object matches none of the required: ["a"] or ["b","c"]`)
	f(`{"anyOf":[{"type":"string"},{"type":"integer"}]}`, `true`, "object matches none of the required")
	f(`{"oneOf":[{"required":["a"]},{"required":["b"]}]}`, `{}`,
		"value should match only one schema, but matches none")
	f(`{"oneOf":[{"required":["a"]},{"required":["b"]}]}`, `{"a":1,"b":1}`,
		"value should match only one schema, but matches both schemas 1 and 2")
	f(`{"not":{"required":["a"]}}`, `{"a":1}`, "value wasn't supposed to match schema")
	f(`{"if":{"properties":{"p":{"enum":["r"]}}},"then":{"required":["h"]}}`, `{"p":"r"}`,
		"then clause did not match")
	f(`{"if":{"properties":{"p":{"enum":["r"]}}},"else":{"required":["h"]}}`, `{"p":"l"}`,
		"else clause did not match")

	// references to secrets are not held to lengths and patterns
	f(`{"minLength":100}`, `"$env://KEY"`, "")
	f(`{"pattern":"^x$"}`, `"$SECRET://vault/1/a/b"`, "")
	f(`{"pattern":"^x$"}`, `"$secret:/"`, `failed to match pattern "^x$" with "$secret:/"`)
	f(`{"type":"integer"}`, `"$env://N"`, "wrong type: expected integer, got string")
}

func TestDefaults(t *testing.T) {
	f := func(schema, value, want string) {
		t.Helper()
		s, err := Compile([]byte(schema))
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			t.Fatal(err)
		}
		out, err := s.Apply(v)
		if err != nil {
			t.Fatalf("schema %s, value %s: %s", schema, value, err)
		}
		got, _ := json.Marshal(out)
		if string(got) != want {
			t.Errorf("schema %s, value %s\n got %s\nwant %s", schema, value, got, want)
		}
	}
	f(`{"properties":{"a":{"default":1},"b":{"default":"x"},"c":{"default":true},"d":{"default":false}}}`,
		`{}`, `{"a":1,"b":"x","c":true}`)
	f(`{"properties":{"a":{"default":1}}}`, `{"a":2}`, `{"a":2}`)
	// A nested object gets its defaults when it is there, not before.
	f(`{"properties":{"o":{"properties":{"a":{"default":1}}}}}`, `{}`, `{}`)
	f(`{"properties":{"o":{"properties":{"a":{"default":1}}}}}`, `{"o":{}}`, `{"o":{"a":1}}`)
	f(`{"properties":{"o":{"default":{"b":2},"properties":{"a":{"default":1}}}}}`, `{}`, `{"o":{"b":2}}`)
	f(`{"properties":{"l":{"items":{"properties":{"a":{"default":1}}}}}}`, `{"l":[{},{"a":2}]}`, `{"l":[{"a":1},{"a":2}]}`)
	// A default is seen by the keywords that follow.
	f(`{"properties":{"p":{"default":"r"}},"if":{"properties":{"p":{"enum":["r"]}}},
		"then":{"properties":{"h":{"default":"x"}}}}`, `{}`, `{"h":"x","p":"r"}`)
	// The branch that matches leaves its defaults, the others nothing.
	f(`{"oneOf":[{"properties":{"a":{"default":1}},"required":["x"]},{"properties":{"b":{"default":2}}}]}`,
		`{}`, `{"b":2}`)
	f(`{"anyOf":[{"properties":{"a":{"default":1}}},{"properties":{"b":{"default":2}}}]}`, `{}`, `{"a":1}`)
	// An empty array in an object's place becomes one.
	f(`{"type":"object","properties":{"a":{"default":1}}}`, `[]`, `{"a":1}`)
	f(`{"properties":{"o":{"type":"object"},"l":{"type":"array"}}}`, `{"o":[],"l":{}}`, `{"l":[],"o":{}}`)
	f(`{"properties":{"l":{"items":{"type":"object"}}}}`, `{"l":[[]]}`, `{"l":[{}]}`)
}

// A default that is a container belongs to the value that got it.
func TestDefaultsAreNotShared(t *testing.T) {
	s, err := Compile([]byte(`{"properties":{"l":{"default":[{"a":1}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	one, _ := s.Apply(map[string]any{})
	one.(map[string]any)["l"].([]any)[0].(map[string]any)["a"] = "changed"
	two, _ := s.Apply(map[string]any{})
	if got := two.(map[string]any)["l"].([]any)[0].(map[string]any)["a"]; got != 1.0 {
		t.Errorf("the second value got %v", got)
	}
}

func TestSchemasCannotReachOut(t *testing.T) {
	if _, err := Compile([]byte(`{"$ref":"file:///etc/passwd"}`)); err == nil {
		t.Error("a reference to a file was followed")
	}
	if _, err := Compile([]byte(`{"$ref":"#/definitions/a","definitions":{"a":{"type":"string"}}}`)); err != nil {
		t.Error(err)
	}
	if _, err := Compile([]byte(`{"type":"strin"}`)); err == nil {
		t.Error("a malformed schema was accepted")
	}
}
