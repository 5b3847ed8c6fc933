package gateway

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/core/conf"
)

// RunPage runs the examples of a documentation page as a reader would. In every
// fenced block marked sh it takes the curl commands in turn: those to port 9180
// (the Admin API) put or delete an object, those to port 9080 are requests. A
// fenced block marked http behind it is the answer to the last request: status
// line, some of the fields and, after an empty line, the body; "..." stands for
// anything. In objects the node 127.0.0.1:1980 is an upstream that answers with
// what it saw (see Seen), so that a page can show what reaches the upstream.
func RunPage(t *testing.T, path string) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := &pageRun{t: t, g: Start(t, Options{}), upstream: Upstream(t)}
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
	g        *Gateway
	upstream string
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
		p.resp, p.body = p.g.Do(method, "/"+path, body, headers...)
	default:
		p.t.Fatalf("curl to %q: pages use 127.0.0.1:9180 and 127.0.0.1:9080", where)
	}
}

func (p *pageRun) admin(method, path, body string) {
	p.t.Helper()
	dir, id, _ := strings.Cut(strings.TrimPrefix(path, "/apisix/admin/"), "/")
	kind := conf.KindNone
	for k := conf.KindNone + 1; k < conf.NumKinds; k++ {
		if k.Dir() == dir {
			kind = k
		}
	}
	if kind == conf.KindConsumer && strings.Contains(id, "/credentials/") {
		kind = conf.KindCredential
	}
	switch {
	case kind == conf.KindNone || id == "":
		p.t.Fatalf("%s %s: pages name a resource and its id", method, path)
	case method == "PUT":
		p.g.Put(kind, id, strings.ReplaceAll(body, "127.0.0.1:1980", p.upstream))
	case method == "DELETE":
		p.g.Delete(kind, id)
	default:
		p.t.Fatalf("%s %s: pages use PUT and DELETE", method, path)
	}
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

type block struct{ kind, text string }

// fenced lists the fenced blocks of a page.
func fenced(page string) []block {
	var out []block
	open := false
	for line := range strings.SplitSeq(page, "\n") {
		kind, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !open:
			out = append(out, block{kind: strings.TrimSpace(kind)})
			open = true
		case fence:
			open = false
		case open:
			out[len(out)-1].text += line + "\n"
		}
	}
	return out
}

// commands splits a shell text into commands and those into words: quotes,
// comments and continued lines are understood, nothing else.
func commands(text string) [][]string {
	var out [][]string
	var words []string
	var word strings.Builder
	inWord := false
	end := func() {
		if inWord {
			words = append(words, word.String())
			word.Reset()
			inWord = false
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\'', '"':
			n := strings.IndexByte(text[i+1:], c)
			if n < 0 {
				n = len(text) - i - 1
			}
			word.WriteString(text[i+1 : i+1+n])
			inWord = true
			i += n + 1
		case '\\':
			if i++; i < len(text) && text[i] != '\n' {
				word.WriteByte(text[i])
				inWord = true
			}
		case '\n':
			end()
			if words != nil {
				out = append(out, words)
				words = nil
			}
		case ' ', '\t':
			end()
		case '#':
			if inWord {
				word.WriteByte(c)
				continue
			}
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	end()
	if words != nil {
		out = append(out, words)
	}
	return out
}
