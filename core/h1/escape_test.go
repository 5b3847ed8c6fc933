package h1

import "testing"

func TestAppendEscapedPath(t *testing.T) {
	if got := string(AppendEscapedPath([]byte("x"), []byte("/a b/%2F?#\xc3\xa9;=~"))); got != "x/a%20b/%252F%3F%23%C3%A9;=~" {
		t.Fatal(got)
	}
}
