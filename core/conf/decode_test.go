package conf

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"
)

func TestNodesInBothForms(t *testing.T) {
	f := func(text string, want Nodes, ok bool) {
		t.Helper()
		var got Nodes
		err := json.Unmarshal([]byte(text), &got)
		if (err == nil) != ok || ok && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	f(`{"b:2":3,"a:1":0,"a":5}`, Nodes{{Host: "a", Weight: 5}, {Host: "a", Port: 1}, {Host: "b", Port: 2, Weight: 3}}, true)
	f(`{"[::1]:80":1,"[::2]":2}`, Nodes{{Host: "::1", Port: 80, Weight: 1}, {Host: "::2", Weight: 2}}, true)
	f(`[{"host":"[::1]","port":80,"weight":1,"priority":-1}]`, Nodes{{Host: "::1", Port: 80, Weight: 1, Priority: -1}}, true)
	f(`[]`, Nodes{}, true)
	f(`{}`, Nodes{}, true)
	f(`null`, nil, true)
	f(`{"::1:80":1}`, nil, false)
	f(`{"[::1":1}`, nil, false)
	f(`{"[::1]x":1}`, nil, false)
	f(`{"a:0":1}`, nil, false)
	f(`{"a:x":1}`, nil, false)
	f(`"a"`, nil, false)
}

func TestIDIsTextOrInteger(t *testing.T) {
	f := func(text string, want ID, ok bool) {
		t.Helper()
		var got ID
		err := json.Unmarshal([]byte(text), &got)
		if (err == nil) != ok || got != want {
			t.Errorf("%s: got %q, %v", text, got, err)
		}
	}
	f(`"a.b"`, "a.b", true)
	f(`7`, "7", true)
	f(`7.0`, "7", true)
	f(`null`, "", true)
	f(`7.5`, "", false)
	f(`true`, "", false)
}

func TestSeconds(t *testing.T) {
	f := func(s Seconds, want time.Duration) {
		t.Helper()
		if got := s.Duration(); got != want {
			t.Errorf("%v s are %v, want %v", float64(s), got, want)
		}
	}
	f(0.5, 500*time.Millisecond)
	f(1e-9, 1)
	f(1e300, math.MaxInt64)
	f(-1e300, math.MinInt64)
	f(Seconds(math.NaN()), 0)
}

func TestDecode(t *testing.T) {
	get := func(kind Kind, id, value string) any {
		t.Helper()
		v, err := Decode(&Object{Kind: kind, ID: id, Value: []byte(value)})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	r := get(KindRoute, "r", `{"id":"x","uri":"/a","hosts":["h"],"upstream_id":3,"enable_websocket":true,"status":0,
		"timeout":{"connect":0.1,"send":2,"read":3}}`).(*Route)
	if r.ID != "r" || r.Paths()[0] != "/a" || r.HostPatterns()[0] != "h" || r.UpstreamID != "3" ||
		!*r.EnableWebsocket || r.Enabled() || r.Timeout.Connect.Duration() != 100*time.Millisecond {
		t.Errorf("route is %+v", r)
	}
	if c := get(KindCredential, "jack/credentials/c", `{"plugins":{"key-auth":{"key":"k"}}}`).(*Credential); c.ID != "c" {
		t.Errorf("the credential's id is %q", c.ID)
	}
	if s := get(KindSecret, "vault/a/b", `{"uri":"x"}`).(*Secret); s.Manager != "vault" || string(s.Conf) != `{"uri":"x"}` {
		t.Errorf("secret is %+v", s)
	}
	if _, err := Decode(&Object{Kind: KindRoute, ID: "r"}); err == nil {
		t.Error("a deleted object decodes")
	}
	if _, err := Decode(&Object{Value: []byte("{}")}); err == nil {
		t.Error("an object of no kind decodes")
	}
	if _, err := Decode(&Object{Kind: KindRoute, ID: "r", Value: []byte(`{"uri":1}`)}); err == nil {
		t.Error("a number decodes as a uri")
	}
}

func TestParsePluginMeta(t *testing.T) {
	m, err := ParsePluginMeta([]byte(`{"a":1,"_meta":{"disable":true,"priority":5,"filter":[["a","==",1]],"error_response":{"m":1}}}`))
	if err != nil || !m.Disable || *m.Priority != 5 || string(m.Filter) != `[["a","==",1]]` || string(m.ErrorResponse) != `{"m":1}` {
		t.Errorf("meta is %+v, %v", m, err)
	}
	if m, err := ParsePluginMeta([]byte(`{"a":1}`)); err != nil || m.Disable || m.Priority != nil {
		t.Errorf("meta of nothing is %+v, %v", m, err)
	}
}
