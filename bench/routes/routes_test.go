package routes

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestGenerateIsReproducible(t *testing.T) {
	const n = 3000
	a, b := Generate(Options{N: n, Seed: 5}), Generate(Options{N: n, Seed: 5})
	if len(a.Routes) != n || len(a.Requests) != n {
		t.Fatalf("%d routes, %d requests", len(a.Routes), len(a.Requests))
	}
	vars, hosts := 0, 0
	for i := range a.Routes {
		if !bytes.Equal(a.Routes[i].JSON, b.Routes[i].JSON) {
			t.Fatalf("route %d differs between two runs", i)
		}
		if a.Requests[i].WantID != a.Routes[i].ID {
			t.Fatalf("request %d wants route %s", i, a.Requests[i].WantID)
		}
		var d definition
		if err := json.Unmarshal(a.Routes[i].JSON, &d); err != nil {
			t.Fatal(err)
		}
		if d.Vars != nil {
			vars++
		}
		if d.Host != "" || d.Hosts != nil {
			hosts++
		}
	}
	if vars < n/50 || hosts < n*8/10 || hosts == n {
		t.Errorf("the mix is off: %d routes with vars, %d with a host", vars, hosts)
	}
}
