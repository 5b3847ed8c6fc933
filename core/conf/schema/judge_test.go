package schema

import (
	"strings"
	"testing"
)

// What a client sends is no reference to a secret.
func TestJudgeTakesTextsLiterally(t *testing.T) {
	s, err := Compile([]byte(`{"type":"string","pattern":"^[a-z]+$"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply("$env://X"); err != nil {
		t.Errorf("configuration may refer to secrets: %v", err)
	}
	if _, err := s.Judge("$env://X"); err == nil || !strings.Contains(err.Error(), "failed to match pattern") {
		t.Errorf("a client got past a pattern: %v", err)
	}
}

// A long list of objects without equals takes no time that grows with its
// square.
func TestUniqueItemsOfManyObjects(t *testing.T) {
	s, err := Compile([]byte(`{"type":"array","uniqueItems":true}`))
	if err != nil {
		t.Fatal(err)
	}
	list := make([]any, 200_000)
	for i := range list {
		list[i] = map[string]any{"n": float64(i), "l": []any{}}
	}
	if _, err := s.Judge(list); err != nil {
		t.Error(err)
	}
	list[len(list)-1] = map[string]any{"l": []any{}, "n": float64(7)}
	if _, err := s.Judge(list); err == nil {
		t.Error("two equal objects passed")
	}
}
