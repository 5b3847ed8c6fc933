package mocking

import (
	"encoding/json"
	"testing"
)

func FuzzSchema(f *testing.F) {
	f.Add(`{"type":"object","properties":{"s":{"type":"string","example":"\""},"l":{"type":"array","items":{"type":"number","example":1e3}},"o":{"type":"Object","properties":{"<":{"type":"boolean"}}}}}`)
	f.Add(`{"type":"array","items":{"type":"integer","example":-1.5}}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSchema(json.RawMessage(text))
		if err != nil {
			return
		}
		if out := s.appendJSON(nil); !json.Valid(out) {
			t.Errorf("schema %s makes %q", text, out)
		}
		s.appendXML(nil, "data", 0)
	})
}
