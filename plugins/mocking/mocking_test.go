package mocking_test

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/conf"
	_ "github.com/sluicegw/sluice/plugins/mocking"
	"github.com/sluicegw/sluice/test/gateway"
)

func TestExample(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(name, plugin string, status int, ctype, body string) {
		t.Helper()
		g.Route("127.0.0.1:1", `{"mocking":`+plugin+`}`)
		resp, got := g.Get("/a?id=7")
		if resp.StatusCode != status || got != body || resp.Header.Get("Content-Type") != ctype {
			t.Errorf("%s: %d %q %q", name, resp.StatusCode, resp.Header.Get("Content-Type"), got)
		}
	}
	const js = "application/json;charset=utf8"
	f("plain", `{"response_example":"{\"a\":1}"}`, 200, js, `{"a":1}`)
	f("variables", `{"response_example":"id $arg_id of $uri"}`, 200, js, "id 7 of /a")
	f("status", `{"response_example":"no","response_status":404,"content_type":"text/plain"}`, 404, "text/plain", "no")
	f("example before schema", `{"response_example":"x","response_schema":{"type":"object"}}`, 200, js, "x")
	f("empty", `{"response_example":"","response_status":500}`, 500, "", "")
}

func TestHeaders(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", `{"mocking":{"response_example":"x","response_headers":{"X-A":"of $uri","X-N":7}}}`)
	resp, _ := g.Get("/a")
	if h := resp.Header; h.Get("X-A") != "of /a" || h.Get("X-N") != "7" || h.Get("X-Mock-By") != "Sluice" {
		t.Errorf("headers %v", h)
	}
	g.Route("127.0.0.1:1", `{"mocking":{"response_example":"x","with_mock_header":false}}`)
	if resp, _ := g.Get("/a"); resp.Header.Get("X-Mock-By") != "" {
		t.Error("marked as mocked")
	}
}

const schema = `{"type":"object","properties":{
	"s":{"type":"string"},"se":{"type":"string","example":"<a & b>"},
	"n":{"type":"number"},"ne":{"type":"number","example":1.5},
	"i":{"type":"integer"},"ie":{"type":"integer","example":7},
	"b":{"type":"boolean"},"be":{"type":"boolean","example":true},
	"l":{"type":"array","items":{"type":"object","properties":{"x":{"type":"integer"}}}},
	"o":{"type":"object","properties":{"deep":{"type":"array","items":{"type":"string"}}}}}}`

func TestMadeUpData(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", `{"mocking":{"response_schema":`+schema+`}}`)
	for range 50 {
		_, body := g.Get("/")
		var v struct {
			S, SE  string
			N, NE  *float64
			I, IE  *int
			B, BE  *bool
			L      []struct{ X *int }
			O      struct{ Deep []string }
			Unused string
		}
		dec := json.NewDecoder(strings.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&v); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if v.S == "" || v.SE != "<a & b>" || *v.NE != 1.5 || *v.N < 0 || *v.IE != 7 || *v.I < 1 || !*v.BE || len(v.L) < 1 || len(v.L) > 3 || v.L[0].X == nil || v.O.Deep[0] == "" {
			t.Fatalf("made up: %s", body)
		}
	}
	g.Route("127.0.0.1:1", `{"mocking":{"content_type":"text/xml;charset=utf8","response_schema":`+schema+`}}`)
	_, body := g.Get("/")
	dec := xml.NewDecoder(strings.NewReader(body))
	for {
		if _, err := dec.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
	}
	if !strings.HasPrefix(body, "<data>\n  <b>") || !strings.Contains(body, "<se>&lt;a &amp; b&gt;</se>") {
		t.Errorf("made up: %s", body)
	}
}

func TestDelay(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route("127.0.0.1:1", `{"mocking":{"response_example":"x","delay":1}}`)
	start := time.Now()
	g.Get("/")
	if took := time.Since(start); took < time.Second {
		t.Errorf("took %v", took)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(name, plugin, want string) {
		t.Run(name, func(t *testing.T) {
			err := g.TryPut(conf.KindRoute, "1", `{"uri":"/*","plugins":{"mocking":`+plugin+`},"upstream":{"nodes":{"127.0.0.1:1":1}}}`)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
	f("nothing", `{}`, "mocking")
	f("content type", `{"response_example":"x","content_type":"image/png"}`, "unsupported content type!")
	f("type of a property", `{"response_schema":{"type":"object","properties":{"a":{"type":"date"}}}}`, `type "date"`)
	f("property without a type", `{"response_schema":{"type":"object","properties":{"a":{}}}}`, "needs a type")
	f("line break in a header", `{"response_example":"x","response_headers":{"A":"b\nc"}}`, "invalid character")
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/mocking.md") }
