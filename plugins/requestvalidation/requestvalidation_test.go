package requestvalidation_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/test/gateway"

	_ "github.com/sluicegw/sluice/plugins/requestvalidation"
)

const (
	jsonType = "Content-Type: application/json"
	formType = "Content-Type: application/x-www-form-urlencoded"
)

func TestHeaders(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"request-validation":{"header_schema":{"type":"object","required":["User-Agent","x-mine"],
		"properties":{"User-Agent":{"type":"string","pattern":"^curl/"},"X-List":{"type":"array","minItems":2},"Host":{"enum":["a.com","b.com"]}}}}}`)
	f := func(want string, headers ...string) {
		t.Helper()
		resp, body := g.Get("/", append(headers, "Host: a.com")...)
		if want == "" && resp.StatusCode == 200 {
			return
		}
		if resp.StatusCode != 400 || body != want || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%q: %d %q, want %q", headers, resp.StatusCode, body, want)
		}
	}
	f("", "User-Agent: curl/8", "X-Mine: 1")
	f("", "user-agent: curl/8", "x-mine: 1", "x-list: 1", "X-List: 2")
	f(`property "User-Agent" validation failed: failed to match pattern "^curl/" with "wget"`, "User-Agent: wget", "X-Mine: 1")
	f(`property "x-mine" is required`, "User-Agent: curl/8")
	f(`property "X-List" validation failed: wrong type: expected array, got string`, "User-Agent: curl/8", "X-Mine: 1", "X-List: 1")
	f(`property "User-Agent" validation failed: failed to match pattern "^curl/" with "$env://HOME"`, "User-Agent: $env://HOME", "X-Mine: 1")
}

func TestQuery(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"request-validation":{"query_schema":{"type":"object","required":["page"],"additionalProperties":false,
		"properties":{"page":{"type":"integer","minimum":1},"tag":{"type":"string","maxLength":3},"ids":{"type":"array","items":{"type":"number"}},"flag":{"type":"boolean"}}}}}`)
	f := func(query, want string) {
		t.Helper()
		resp, body := g.Get("/?" + query)
		if want == "" && resp.StatusCode == 200 {
			if seen := gateway.Saw(t, body); seen.URI != "/?"+query {
				t.Errorf("the upstream saw %s", seen.URI)
			}
			return
		}
		if resp.StatusCode != 400 || !strings.HasPrefix(body, want) {
			t.Errorf("%s: %d %q, want %q", query, resp.StatusCode, body, want)
		}
	}
	f("page=1", "")
	f("page=1&tag=a%20b&flag=true&ids=1&ids=2.5", "")
	f("page=1&flag", "")
	f("", `property "page" is required`)
	f("page=x", `property "page" validation failed: wrong type: expected integer, got string`)
	f("page=0", `property "page" validation failed: expected 0 to be`)
	f("page=1&tag=abcd", `property "tag" validation failed: string too long`)
	f("page=1&ids=x&ids=1", `property "ids" validation failed: failed to validate item 1`)
	f("page=1&other=1", `additional properties forbidden, found other`)
}

const bodySchema = `"body_schema":{"type":"object","required":["name"],"properties":{"name":{"type":"string"},
	"size":{"type":"integer","maximum":1000000000000000000},"color":{"enum":["red","blue"],"default":"red"},"tags":{"type":"array","uniqueItems":true}}}`

func TestBodies(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"request-validation":{`+bodySchema+`}}`)
	f := func(body, ctype, seen, want string) {
		t.Helper()
		resp, got := g.Do("POST", "/", body, ctype)
		if want == "" && resp.StatusCode == 200 {
			if s := gateway.Saw(t, got); s.Body != seen {
				t.Errorf("%.60q: the upstream saw %.60q, want %.60q", body, s.Body, seen)
			}
			return
		}
		if resp.StatusCode != 400 || !strings.HasPrefix(got, want) {
			t.Errorf("%.60q: %d %.100q, want %q", body, resp.StatusCode, got, want)
		}
	}
	f(`{"name":"a","color":"blue"}`, jsonType, `{"color":"blue","name":"a"}`, "")
	f(`{"name":"<a>","size":9007199254740993}`, jsonType, `{"color":"red","name":"<a>","size":9007199254740993}`, "")
	f(`{"name":"a","tags":[]}`, jsonType, `{"color":"red","name":"a","tags":[]}`, "")
	f(`{"name":"a"}`, "X: no type is JSON too", `{"color":"red","name":"a"}`, "")
	f(`{"name":"evil","name":"a"}`, jsonType, `{"color":"red","name":"a"}`, "")
	f(`{}`, jsonType, "", `property "name" is required`)
	f(`[]`, jsonType, "", `property "name" is required`)
	f(`{"name":1}`, jsonType, "", `property "name" validation failed: wrong type: expected string, got number`)
	f(`{"name":"a","color":"green"}`, jsonType, "", `property "color" validation failed: matches none of the enum values`)
	f(`{"name":"a","tags":[{},{}]}`, jsonType, "", `property "tags" validation failed: expected unique items but items 1 and 2 are equal`)
	f(`{"name":"a"`, jsonType, "", `the body is no JSON`)
	f(`{"name":"a"}x`, jsonType, "", `the body has text behind its JSON`)
	f(`nonsense`, jsonType, "", ``)
	f(`1e999`, jsonType, "", `the number 1e999 is out of range`)
	f(strings.Repeat("[", 200)+strings.Repeat("]", 200), jsonType, "", `the body is nested more than 128 levels deep`)
	f(``, jsonType, "", `<html>`)
	long := strings.Repeat("long ", 30_000)
	f(`{"name":"`+long+`"}`, jsonType, `{"color":"red","name":"`+long+`"}`, "")
	f(`{"size":"`+long+`"}`, jsonType, "", `property`)

	f("name=a+b&color=blue", formType, "name=a+b&color=blue", "")
	f("name=a", formType+"; charset=utf-8", "name=a", "")
	f("color=blue", formType, "", `property "name" is required`)
	f("name=a&name=b", formType, "", `property "name" validation failed: wrong type: expected string, got table`)
}

func TestSize(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"request-validation":{"max_req_body_size":20,`+bodySchema+`}}`)
	if resp, _ := g.Do("POST", "/", `{"name":"aaaaaaaaa"}`, jsonType); resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
	if resp, _ := g.Do("POST", "/", `{"name":"aaaaaaaaaa"}`, jsonType); resp.StatusCode != 413 {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestRejection(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"request-validation":{"rejected_code":422,"rejected_msg":"no good","header_schema":{"type":"object"},`+bodySchema+`}}`)
	for _, body := range []string{`{}`, `x`, ``} {
		if resp, got := g.Do("POST", "/", body, jsonType); resp.StatusCode != 422 || got != "no good" {
			t.Errorf("%q: %d %q", body, resp.StatusCode, got)
		}
	}
}

func TestChunkedBody(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	g.Route(gateway.Upstream(t), `{"request-validation":{`+bodySchema+`}}`)
	q, err := http.NewRequest("POST", g.URL+"/", struct{ *strings.Reader }{strings.NewReader(`{"name":"a"}`)})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	f := func(plugin, want string) {
		t.Helper()
		err := g.TryPut(conf.KindRoute, "1", fmt.Sprintf(`{"uri":"/*","plugins":{"request-validation":%s},"upstream":{"nodes":{"127.0.0.1:1":1}}}`, plugin))
		if err == nil || !strings.Contains(err.Error(), "failed to check the configuration of plugin request-validation err: "+want) {
			t.Errorf("%s: %v, want %q", plugin, err, want)
		}
	}
	f(`{}`, "")
	f(`{"rejected_code":400}`, "")
	f(`{"body_schema":{"type":"nonsense"}}`, "cannot compile JSON Schema")
	f(`{"header_schema":{"pattern":"("}}`, "cannot compile JSON Schema")
	f(`{"query_schema":{"required":"a"}}`, "cannot compile JSON Schema")
	f(`{"body_schema":{"$ref":"file:///etc/passwd"}}`, "cannot compile JSON Schema")
	f(`{"body_schema":{},"rejected_code":600}`, `property "rejected_code" validation failed`)
	f(`{"body_schema":{},"rejected_msg":""}`, `property "rejected_msg" validation failed`)
}

func TestPage(t *testing.T) { gateway.RunPage(t, "../../docs/plugins/request-validation.md") }
