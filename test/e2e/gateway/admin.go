package gateway

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// Answer is an HTTP answer read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Text is the body as a string.
func (a Answer) Text() string { return string(a.Body) }

// Field returns a value of a JSON body by dotted path, nil when it is absent.
func (a Answer) Field(path string) any {
	var v any
	if json.Unmarshal(a.Body, &v) != nil {
		return nil
	}
	for _, name := range strings.Split(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

var client = &http.Client{
	Timeout:       10 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Do sends one request and reads the answer. Body may be nil, a string, a
// []byte or anything that marshals to JSON; headers are name, value pairs.
func (g *Gateway) Do(method, url string, body any, headers ...string) (Answer, error) {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	case []byte:
		r = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return Answer{}, err
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, url, r)
	if err != nil {
		return Answer{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header, text}, err
}

// Admin calls the Admin API with the right key; path follows /apisix/admin.
func (g *Gateway) Admin(method, path string, body any) Answer {
	g.t.Helper()
	a, err := g.Do(method, "http://"+g.AdminAddr+"/apisix/admin"+path, body, "X-API-KEY", AdminKey, "Content-Type", "application/json")
	if err != nil {
		g.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// Put writes a resource and fails the test unless the answer is 200 or 201.
func (g *Gateway) Put(path string, body any) Answer {
	g.t.Helper()
	a := g.Admin(http.MethodPut, path, body)
	if a.Status != http.StatusOK && a.Status != http.StatusCreated {
		g.t.Fatalf("PUT %s: status %d: %s", path, a.Status, a.Body)
	}
	return a
}

// Get sends a GET through the gateway; headers are name, value pairs.
func (g *Gateway) Get(path string, headers ...string) Answer {
	g.t.Helper()
	a, err := g.Do(http.MethodGet, "http://"+g.Proxy+path, nil, headers...)
	if err != nil {
		g.t.Fatalf("GET %s through the gateway: %v", path, err)
	}
	return a
}

// WaitStatus polls path through the gateway until it answers status.
func (g *Gateway) WaitStatus(path string, status int, headers ...string) Answer {
	g.t.Helper()
	return g.WaitAnswer(path, func(a Answer) bool { return a.Status == status }, headers...)
}

// WaitAnswer polls path through the gateway until ok says true.
func (g *Gateway) WaitAnswer(path string, ok func(Answer) bool, headers ...string) Answer {
	g.t.Helper()
	var last Answer
	var err error
	if !Poll(5*time.Second, func() bool {
		last, err = g.Do(http.MethodGet, "http://"+g.Proxy+path, nil, headers...)
		return err == nil && ok(last)
	}) {
		g.t.Fatalf("GET %s did not become what was wanted within 5 s; last: status %d, error %v, body %.200s", path, last.Status, err, last.Body)
	}
	return last
}

// Nodes builds an upstream object over the given host:port addresses.
func Nodes(addrs ...string) map[string]any {
	nodes := map[string]any{}
	for _, a := range addrs {
		nodes[a] = 1
	}
	return map[string]any{"type": "roundrobin", "nodes": nodes}
}
