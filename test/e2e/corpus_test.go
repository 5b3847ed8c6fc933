package e2e

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicegw/sluice/core/guard/corpus"
	"github.com/sluicegw/sluice/test/e2e/backend"
	"github.com/sluicegw/sluice/test/e2e/gateway"
	"github.com/sluicegw/sluice/test/e2e/rawhttp"
)

// needsSettings are the corpus options that ask for another configuration
// than the default one; guard's own tests cover them.
var needsSettings = []string{"trusted", "tailslash", "servlet", "encodedslash", "nounderscore", "realip", "realiphead",
	"recursive", "peer", "tls", "head", "uri", "fields", "body"}

// Every request of the corpus is refused or reaches the back end in the one
// form that the corpus says, and disturbs no neighbour: what follows on the
// upstream connection is what the next client sent, and nothing else.
func TestCorpus(t *testing.T) {
	t.Parallel()
	cases, err := corpus.Load()
	if err != nil {
		t.Fatal(err)
	}
	g, b := startHello(t, gateway.Options{Loops: 1})
	neighbour := rawhttp.Dial(t, g.Proxy)
	ran := 0
	for i, c := range cases {
		if bytes.Contains(c.Send, []byte(" * HTTP/")) {
			continue // no route is for "*"
		}
		if slices.ContainsFunc(needsSettings, func(o string) bool { _, ok := c.Options[o]; return ok }) {
			continue
		}
		ran++
		before := b.Count()
		settle(&c, g.Proxy, b.Addr)
		checkCase(t, g, c)
		mark := fmt.Sprintf("/neighbour/%d", i)
		neighbour.Send(rawhttp.Get(mark, "neighbour"))
		if r, err := neighbour.Read("GET"); err != nil || r.Status != 200 || string(r.Body) != "hello" {
			t.Fatalf("%s: the neighbour's next request got %d %q, error %v", c.Name, r.Status, r.Body, err)
		}
		got := b.Requests()[before:]
		if len(got) == 0 || got[len(got)-1].Target() != mark {
			t.Fatalf("%s: the neighbour's request did not arrive as it was sent: %+v", c.Name, got)
		}
		compareForwarded(t, c, got[:len(got)-1])
	}
	for _, raw := range b.Garbage() {
		// A body that turns out to be malformed breaks the request off; what
		// came before must be one whole head.
		if head, _, ok := bytes.Cut(raw, []byte("\r\n\r\n")); !ok || bytes.Count(raw, []byte("HTTP/1.")) != 1 || !bytes.HasPrefix(head, []byte("POST ")) {
			t.Errorf("the back end received bytes that are no request: %.300q", raw)
		}
	}
	t.Logf("%d of %d cases ran", ran, len(cases))
	if ran < 200 {
		t.Errorf("only %d cases ran", ran)
	}
}

// settle puts the addresses of this gateway into what the corpus expects, in
// place of those that guard's own tests have.
func settle(c *corpus.Case, proxy, node string) {
	_, port, _ := strings.Cut(proxy, ":")
	replace := strings.NewReplacer("192.0.2.45", "127.0.0.1")
	for i := range c.Want {
		head := slices.Clone(c.Want[i].Head)
		for j, line := range head {
			head[j] = replace.Replace(line)
			switch {
			case strings.HasPrefix(line, "X-Forwarded-Port: 9080"):
				head[j] = "X-Forwarded-Port: " + port
			case line == "Host: ": // HTTP/1.0: the relay puts the node's in
				head[j] = "Host: " + node
			}
		}
		c.Want[i].Head = head
	}
}

// checkCase sends one case and checks what the client gets.
func checkCase(t *testing.T, g *gateway.Gateway, c corpus.Case) {
	t.Helper()
	conn := rawhttp.Dial(t, g.Proxy)
	defer conn.Close()
	_ = conn.TrySend(string(c.Send)) // a refusal may come before all is sent
	for i, w := range c.Want {
		if w.Incomplete {
			return
		}
		method, _, _ := strings.Cut(string(c.Send), " ")
		r, err := conn.Read(method)
		if err != nil {
			t.Errorf("%s: message %d: no answer: %v", c.Name, i+1, err)
			return
		}
		want := w.Status
		if want == 0 {
			want = 200
		}
		if r.Status != want {
			t.Errorf("%s: message %d: status %d, want %d", c.Name, i+1, r.Status, want)
		}
		if w.Status != 0 {
			if rest, closed := conn.ClosedByPeer(2 * time.Second); !closed || len(rest) > 0 {
				t.Errorf("%s: after the refusal the connection is open or goes on with %.80q", c.Name, rest)
			}
			return
		}
	}
}

// compareForwarded checks what the back end got of a case.
func compareForwarded(t *testing.T, c corpus.Case, got []backend.Request) {
	t.Helper()
	var want []corpus.Want
	for _, w := range c.Want {
		if w.Status != 0 || w.Incomplete {
			break
		}
		want = append(want, w)
	}
	if len(got) != len(want) {
		t.Errorf("%s: the back end saw %d requests, want %d: %+v", c.Name, len(got), len(want), got)
		return
	}
	for i, w := range want {
		lines := forwardedLines(got[i], w.Head)
		head := slices.Clone(w.Head)
		head = frame(head, len(w.Body))
		lines = frame(lines, len(got[i].Body))
		slices.Sort(head[min(1, len(head)):])
		if !slices.Equal(lines, head) {
			t.Errorf("%s: message %d arrived as\n%q, want\n%q", c.Name, i+1, lines, head)
		}
		if !bytes.Equal(got[i].Body, w.Body) {
			t.Errorf("%s: message %d: body %q, want %q", c.Name, i+1, got[i].Body, w.Body)
		}
	}
}

// frame makes the two framings of a body alike: a gateway may send a body
// that has arrived whole with its length.
func frame(lines []string, body int) []string {
	for i, l := range lines {
		if l == "Transfer-Encoding: chunked" || l == fmt.Sprintf("Content-Length: %d", body) {
			lines[i] = "(framing)"
		}
	}
	slices.Sort(lines[min(1, len(lines)):])
	return lines
}

// forwardedLines is a head as the corpus writes it: the fields about the
// client only where the case names them, and in no order.
func forwardedLines(r backend.Request, named []string) []string {
	lines := []string{r.Line}
	for _, f := range r.Fields {
		name, _, _ := strings.Cut(f, ":")
		low := strings.ToLower(name)
		// A request without Host gets the node's own.
		if strings.HasPrefix(low, "x-forwarded-") || low == "x-real-ip" || low == "host" {
			if !slices.ContainsFunc(named, func(n string) bool { return strings.HasPrefix(strings.ToLower(n), low+":") }) {
				continue
			}
		}
		lines = append(lines, f)
	}
	slices.Sort(lines[1:])
	return lines
}
