package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
)

func describe(d *Document) string {
	var out []string
	for _, it := range d.Items {
		out = append(out, fmt.Sprintf("%s %s@%d %s", it.Kind, it.ID, it.Line, it.Value))
	}
	for _, p := range d.Problems {
		out = append(out, "! "+p.Error())
	}
	return strings.Join(out, "\n")
}

func TestItemsOfAYAMLDocument(t *testing.T) {
	d, err := ParseDocument([]byte(`# a comment
routes:
  - id: 1
    uri: /hello
    priority: 0x10
    upstream:
      nodes:
        "127.0.0.1:1980": 1
        80: 2
      retry_timeout: 1.5
  - uri: "/no id \u00e4"
    methods: [GET, POST]
    enable_websocket: true
    status: ~
upstreams:
  - &base
    id: u1
    type: roundrobin
  - <<: *base
    id: u2
consumers:
  - username: jack
    plugins: {}
  - id: jack/credentials/c1
    plugins: {key-auth: {key: secret}}
plugin_metadata:
  - id: syslog
    log_format: {host: "$host"}
secrets:
  - id: vault/1
    uri: http://x
  - id: vault
plugins:
  - name: cors
services:
nonsense: 1
global_rules:
  - just a text
  - id: {}
  - id: 1.5
  - id: a/b
  - id: x
  - id: x
  - id: n
    v: .nan
  -
protos_conf_version: 7
#END
`), FormatYAML)
	if err != nil {
		t.Fatal(err)
	}
	want := `route 1@3 {"id":1,"uri":"/hello","priority":16,"upstream":{"nodes":{"127.0.0.1:1980":1,"80":2},"retry_timeout":1.5}}
route arr_2@11 {"uri":"/no id ä","methods":["GET","POST"],"enable_websocket":true,"status":null}
upstream u1@16 {"id":"u1","type":"roundrobin"}
upstream u2@19 {"id":"u2","type":"roundrobin"}
consumer jack@22 {"username":"jack","plugins":{}}
credential jack/credentials/c1@24 {"id":"jack/credentials/c1","plugins":{"key-auth":{"key":"secret"}}}
plugin_metadata syslog@27 {"id":"syslog","log_format":{"host":"$host"}}
secret vault/1@30 {"id":"vault/1","uri":"http://x"}
global_rule x@42 {"id":"x"}
! line 32: secrets[1] (id vault): a secret's id reads <manager>/<id>, such as vault/1
! line 36: nonsense: no such kind of resource; the key is ignored
! line 38: global_rules[0]: it is not an object
! line 39: global_rules[1]: the id is neither a text nor a whole number of at least 1
! line 40: global_rules[2]: the id is neither a text nor a whole number of at least 1
! line 41: global_rules[3] (id a/b): this is no id of such an object
! line 43: global_rules[5] (id x): the id is taken by the one in line 42
! line 44: global_rules[6]: line 45: .nan is not a number that JSON can hold
! line 46: global_rules[7]: it is not an object`
	if got := describe(d); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	if string(d.Plugins) != `[{"name":"cors"}]` || d.Versions[conf.KindProto] != 7 || !d.Has[conf.KindService] || d.Has[conf.KindSSL] || !d.Has[conf.KindCredential] {
		t.Fatalf("%s %v %v", d.Plugins, d.Versions, d.Has)
	}
}

func TestItemsOfAJSONDocument(t *testing.T) {
	d, err := ParseDocument([]byte(`{
  "routes": [
    {"id": "1", "uri": "/a", "modifiedIndex": 12, "name": "x"},
    {"uri": "\ud83d\ude00"},
    3
  ],
  "consumers": [{"username": "jack"}],
  "routes_conf_version": 4,
  "plugins": [ {"name": "cors"} ],
  "strange": {}
}`), FormatJSON)
	if err != nil {
		t.Fatal(err)
	}
	want := `route 1@3 {"id":"1","uri":"/a","name":"x"}
route arr_2@4 {"uri":"\ud83d\ude00"}
consumer jack@7 {"username":"jack"}
! line 5: routes[2]: it is not an object
! line 10: strange: no such kind of resource; the key is ignored`
	if got := describe(d); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	if d.Items[0].ModifiedIndex != 12 || d.Versions[conf.KindRoute] != 4 || string(d.Plugins) != `[{"name":"cors"}]` {
		t.Fatalf("%+v", d)
	}
}

func TestDocumentsRefusedAsAWhole(t *testing.T) {
	f := func(format Format, text, want string) {
		t.Helper()
		if _, err := ParseDocument([]byte(text), format); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	f(FormatYAML, "routes:\n  - id: 1\n\tbad: tab", "line 2: found a tab")
	f(FormatYAML, "routes: {}\n", "line 1: routes is not an array")
	f(FormatYAML, "- a\n", "line 1: the document is not a mapping")
	f(FormatYAML, "routes: []\n\nroutes: []\n", "line 3")
	f(FormatYAML, "routes:\n  - id: *nowhere\n", "unknown anchor")
	f(FormatYAML, "routes_conf_version: x\n", "not a whole number")
	f(FormatJSON, "{\n\"routes\": [\n{\"a\": }]}", "line 3")
	f(FormatJSON, "[]", "is not an object of resource kinds")
	f(FormatJSON, "{}\n{}", "line 2")
	f(FormatJSON, "", "line 1")
	f(FormatJSON, "{\"routes\": 1}", "routes is not an array")
}

func TestAliasesCannotUnfoldWithoutBound(t *testing.T) {
	var b strings.Builder
	b.WriteString("routes:\n  - id: 1\n    a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&b, "    a%d: &a%d [", i, i)
		for range 10 {
			fmt.Fprintf(&b, "*a%d,", i-1)
		}
		b.WriteString("]\n")
	}
	d, err := ParseDocument([]byte(b.String()), FormatYAML)
	if err == nil && (len(d.Items) != 0 || len(d.Problems) != 1) {
		t.Fatal("a bomb of aliases was taken")
	}
	d, err = ParseDocument([]byte("routes:\n  - &r\n    id: 1\n    self: *r\n  - id: 2\n"), FormatYAML)
	if err == nil && (len(d.Items) != 1 || len(d.Problems) != 1) {
		t.Fatalf("an alias to itself: %s", describe(d))
	}
}

func TestEnvironmentInDocuments(t *testing.T) {
	env := map[string]string{"HOST": "10.0.0.1", "EMPTY": "", "PORT": "80"}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	f := func(in, want string) {
		t.Helper()
		got, err := Substitute([]byte(in), lookup)
		if err != nil {
			if !strings.HasPrefix(want, "error: ") || !strings.Contains(err.Error(), want[7:]) {
				t.Errorf("%q: %v, want %q", in, err, want)
			}
		} else if string(got) != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	f("no variable ${x} {{HOST}}", "no variable ${x} {{HOST}}")
	f("a: ${{HOST}}:${{ PORT }}", "a: 10.0.0.1:80")
	f("a: ${{NONE:=http://d:1/x}}", "a: http://d:1/x")
	f("a: ${{NONE:=}}b", "a: b")
	f("a: ${{EMPTY:=d}}b", "a: b")
	f("x: 1\na: ${{NONE}}", "error: line 2: the environment variable NONE is not set")
	f("x: 1\n  # a: ${{NONE}}\nb: ${{PORT}}", "x: 1\n  # a: ${{NONE}}\nb: 80")
	f("a: ${{9x}}", "a: ${{9x}}")
	f("${{HOST", "${{HOST")
}

func FuzzParseDocument(f *testing.F) {
	for _, s := range []string{
		"routes:\n  - id: 1\n    uri: /a\n", "routes: [{<<: *x}]", "upstreams:\n- &a {id: 1}\n- *a\n",
		`{"routes":[{"id":"1"}],"x":[1,{}]}`, `{"consumers":[{"username":"j"},{"id":"j/credentials/1"}]}`, "a: !!binary x", "? [a]\n: b", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, format := range []Format{FormatYAML, FormatJSON} {
			d, err := ParseDocument(text, format)
			if err != nil {
				continue
			}
			for _, it := range d.Items {
				if !json.Valid(it.Value) {
					t.Fatalf("%s: %s [%s] is not JSON: %q", format, it.Kind, it.ID, it.Value)
				}
				if !checkID(it.Kind, it.ID) || it.Line < 1 {
					t.Fatalf("%s: %+v", format, it)
				}
			}
		}
	})
}
