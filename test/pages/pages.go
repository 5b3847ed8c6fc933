// Package pages runs the examples of documentation pages as a reader would.
package pages

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// Site is a gateway that examples run on.
type Site struct {
	// Admin puts or deletes an object: method PUT or DELETE, the path behind
	// /apisix/admin/, the JSON text.
	Admin func(method, path, body string)
	// Do sends a request through the gateway and returns the answer with its
	// body read. Header lines are "Name: value".
	Do func(method, path, body string, headers ...string) (*http.Response, string)
}

// Run runs the examples of a page. In every fenced block marked sh it takes the
// curl commands in turn: those to port 9180 (the Admin API) put or delete an
// object, those to port 9080 are requests. A fenced block marked http behind it
// is the answer to the last request: status line, some of the fields and, after
// an empty line, the body; "..." stands for anything.
func Run(t *testing.T, path string, site Site) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := &pageRun{t: t, site: site}
	for _, b := range fenced(string(page)) {
		switch b.kind {
		case "sh":
			for _, words := range commands(b.text) {
				if words[0] == "curl" {
					p.curl(words[1:])
				}
			}
		case "http":
			p.expect(b.text)
		}
	}
	if p.requests == 0 {
		t.Errorf("%s has no example request", path)
	}
}

type pageRun struct {
	t        *testing.T
	site     Site
	requests int
	resp     *http.Response
	body     string
}

// curl acts on the arguments of one command.
func (p *pageRun) curl(args []string) {
	p.t.Helper()
	method, url, body := "", "", ""
	var headers []string
	for i := 0; i < len(args); i++ {
		next := func() string {
			if i++; i >= len(args) {
				p.t.Fatalf("curl %q ends too early", args)
			}
			return args[i]
		}
		switch a := args[i]; a {
		case "-i", "-s", "-v", "-k":
		case "-I":
			method = "HEAD"
		case "-X":
			method = next()
		case "-H":
			headers = append(headers, next())
		case "-u":
			headers = append(headers, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(next())))
		case "-d", "--data", "--data-binary":
			body = next()
		default:
			if strings.HasPrefix(a, "-") {
				p.t.Fatalf("curl option %s is not known to RunPage", a)
			}
			url = strings.TrimPrefix(a, "http://")
		}
	}
	if method == "" {
		method = "GET"
		if body != "" {
			method = "POST"
		}
	}
	where, path, _ := strings.Cut(url, "/")
	switch where {
	case "127.0.0.1:9180":
		p.admin(method, "/"+path, body)
	case "127.0.0.1:9080":
		p.requests++
		p.resp, p.body = p.site.Do(method, "/"+path, body, headers...)
	default:
		p.t.Fatalf("curl to %q: pages use 127.0.0.1:9180 and 127.0.0.1:9080", where)
	}
}

func (p *pageRun) admin(method, path, body string) {
	p.t.Helper()
	path, ok := strings.CutPrefix(path, "/apisix/admin/")
	if _, id, _ := strings.Cut(path, "/"); !ok || id == "" || method != "PUT" && method != "DELETE" {
		p.t.Fatalf("%s %s: pages use PUT and DELETE and name a resource and its id", method, path)
	}
	p.site.Admin(method, path, body)
}

// expect compares the last answer with what the page says.
func (p *pageRun) expect(want string) {
	p.t.Helper()
	if p.resp == nil {
		p.t.Fatalf("an answer without a request: %s", want)
	}
	head, body, hasBody := strings.Cut(want, "\n\n")
	lines := strings.Split(strings.TrimRight(head, "\n"), "\n")
	status := fmt.Sprintf("HTTP/1.1 %d ", p.resp.StatusCode)
	if !strings.HasPrefix(lines[0]+" ", status) {
		p.t.Errorf("the page says %q, the answer is %s%s", lines[0], status, p.body)
	}
	for _, l := range lines[1:] {
		if l == "..." {
			continue
		}
		name, value, _ := strings.Cut(l, ":")
		if got := p.resp.Header.Get(name); got != strings.TrimSpace(value) {
			p.t.Errorf("the page says %q, the field is %q", l, got)
		}
	}
	if !hasBody {
		return
	}
	rest := p.body
	for part := range strings.SplitSeq(strings.TrimSpace(body), "...") {
		part = strings.TrimSpace(part)
		_, after, found := strings.Cut(rest, part)
		if !found {
			p.t.Errorf("the page says %q, the body is %q", strings.TrimSpace(body), p.body)
			return
		}
		rest = after
	}
}
