package batchrequests

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// Whatever a batch holds, a head that is written for it is one head or none.
func FuzzHeads(f *testing.F) {
	f.Add([]byte(`{"query":{"a":[1,true]},"headers":{"X":"y"},"pipeline":[{"path":"/a","method":"POST","body":"b","headers":{"z":1.5}}]}`))
	f.Add([]byte(`{"pipeline":[{"path":"/a b\r\n\r\nGET / HTTP/1.1","headers":{"a b":"c"}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parse(text)
		if err != nil {
			return
		}
		var ctx req.Ctx
		ctx.Reset()
		ctx.Req.AddString("Host", "a.example")
		var w heads
		w.begin(&ctx, all)
		for i := range all.Pipeline {
			head, err := w.head(&all.Pipeline[i])
			if err != nil {
				continue
			}
			var r h1.Request
			r.Reset()
			n, bad := r.Scan(head, nil)
			if bad == nil && n == len(head) && r.HasBody() != (all.Pipeline[i].Body != "") {
				t.Fatalf("%q became %q", text, head)
			}
		}
	})
}

func FuzzAppendText(f *testing.F) {
	f.Add("a\x00\"\\\n\x7fé")
	f.Fuzz(func(t *testing.T, s string) {
		out := appendText(nil, s)
		var back string
		if err := json.Unmarshal(out, &back); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if utf8.ValidString(s) && back != s {
			t.Fatalf("%q became %q", s, back)
		}
	})
}
