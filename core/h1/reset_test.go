package h1

import (
	"reflect"
	"testing"
)

// TestResetForgetsEverything compares a used and reset value with a fresh one,
// so that no field is forgotten when one is added.
func TestResetForgetsEverything(t *testing.T) {
	head := "POST http://a/x HTTP/1.0\r\nHost: a\r\nConnection: close, upgrade, x\r\nUpgrade: websocket\r\n" +
		"Expect: 100-continue\r\nContent-Length: 3\r\nForwarded: x\r\nx_y:z\r\n\r\n"
	var used, fresh Request
	used.Reset()
	used.Scan([]byte(head), nil)
	used.Scan([]byte("GET /"), nil)
	used.SaveOriginal(Forwarded)
	used.SetTarget([]byte("/y"))
	used.WebSocket, used.Chunked, used.Upgrade, used.Expect100 = true, true, true, true
	used.Reset()
	fresh.Reset()
	used.buf, used.fields, used.aux = nil, nil, nil
	fresh.buf, fresh.fields, fresh.aux = nil, nil, nil
	if !reflect.DeepEqual(used, fresh) {
		t.Errorf("request: %+v, want %+v", used, fresh)
	}

	var r, f Response
	r.Reset()
	r.Scan([]byte("HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\nConnection: close, x\r\n\r\n"), nil, MethodGet)
	r.Scan([]byte("HTTP/1.1 100 x\r\n\r\n"), nil, MethodGet)
	r.Scan([]byte("HTTP/1.1 100 x\r\nA:"), nil, MethodGet)
	r.Reset()
	f.Reset()
	r.buf, r.fields, f.buf, f.fields = nil, nil, nil, nil
	if !reflect.DeepEqual(r, f) {
		t.Errorf("response: %+v, want %+v", r, f)
	}
}
