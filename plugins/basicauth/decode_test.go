package basicauth

import (
	"bytes"
	"testing"
)

func FuzzDecode(f *testing.F) {
	f.Add([]byte("Basic amFjazpwYXNz"))
	f.Add([]byte("basic \t="))
	f.Add([]byte("Basic amFjazpwYXNz=="))
	f.Fuzz(func(t *testing.T, field []byte) {
		out, user, password, ok := decode([]byte("kept"), field)
		if !bytes.HasPrefix(out, []byte("kept")) {
			t.Fatalf("what was in the buffer is gone: %q", out)
		}
		if ok && len(user)+1+len(password) != len(out)-len("kept") {
			t.Fatalf("%q is %q and %q", out, user, password)
		}
		if !ok {
			return
		}
		before := len(user)
		if short := dropSpace(user); len(short) > before || hasSpace(short, nil) {
			t.Fatalf("%q still has white space", short)
		}
	})
}
