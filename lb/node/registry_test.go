package node

import (
	"net/netip"
	"strings"
	"testing"
)

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func build(t *testing.T, r *Registry, upstream string, now int64, hosts ...string) []*Node {
	t.Helper()
	var specs []Spec
	for _, h := range hosts {
		specs = append(specs, Spec{Host: h, Port: 80, Weight: 1})
	}
	nodes, err := r.Nodes(upstream, specs, now)
	if err != nil {
		t.Fatal(err)
	}
	return nodes
}

func TestStateFollowsTheAddress(t *testing.T) {
	r := NewRegistry()
	a := build(t, r, "u1", 1, "10.0.0.1", "10.0.0.2")
	b := build(t, r, "u1", 2, "10.0.0.2", "10.0.0.3")
	other := build(t, r, "u2", 2, "10.0.0.2")
	if a[1].State != b[0].State {
		t.Error("a node that stays lost its state")
	}
	if b[0].Index != 0 || b[1].Index != 1 {
		t.Error("the index is not the place in the new list")
	}
	if other[0].State == b[0].State {
		t.Error("two upstreams share a state")
	}
	if a[0].Group() != b[0].Group() || other[0].Group() == b[0].Group() {
		t.Error("the group does not follow the upstream")
	}
	if b[1].Risen() != 2 || b[0].Risen() != 0 || other[0].Risen() != 0 {
		t.Error("only nodes that join a serving upstream warm up")
	}
	if a[0].Group().LastRise() != 2 {
		t.Errorf("the last rise is %d, want 2", a[0].Group().LastRise())
	}
	if u, s := r.Len(); u != 2 || s != 3 {
		t.Errorf("the registry holds %d upstreams and %d states, want 2 and 3", u, s)
	}
	c := build(t, r, "u1", 3, "10.0.0.1")
	if c[0].State == a[0].State {
		t.Error("a node that left kept its state")
	}
	r.Drop("u1")
	if u, s := r.Len(); u != 1 || s != 1 {
		t.Errorf("after a drop the registry holds %d upstreams and %d states", u, s)
	}
}

func TestNodesOfOneAddressShareAState(t *testing.T) {
	n := build(t, NewRegistry(), "u", 1, "10.0.0.1", "10.0.0.1")
	if n[0].State != n[1].State {
		t.Error("a server listed twice has two states")
	}
}

func TestSpecsAreChecked(t *testing.T) {
	f := func(s Spec, key, failure string) {
		t.Helper()
		nodes, err := NewRegistry().Nodes("upstreams/9", []Spec{s}, 1)
		switch {
		case failure != "":
			if err == nil || !strings.Contains(err.Error(), failure) || !strings.Contains(err.Error(), "upstreams/9") {
				t.Errorf("%+v: error %v, want one about %q", s, err, failure)
			}
		case err != nil:
			t.Errorf("%+v: %v", s, err)
		case nodes[0].Key != key:
			t.Errorf("%+v: key %q, want %q", s, nodes[0].Key, key)
		}
	}
	f(Spec{Host: "10.0.0.1", Port: 80}, "10.0.0.1:80", "")
	f(Spec{Host: "[::1]", Port: 80}, "[::1]:80", "")
	f(Spec{Host: "::1", Port: 80}, "[::1]:80", "")
	f(Spec{Host: "::ffff:10.0.0.1", Port: 80}, "10.0.0.1:80", "")
	f(Spec{Host: "a.example", Port: 80, Addr: netip.MustParseAddr("10.0.0.9")}, "10.0.0.9:80", "")
	f(Spec{Host: "a.example", Port: 80}, "", "not resolved")
	f(Spec{Host: "10.0.0.1"}, "", "no port")
	f(Spec{Host: "10.0.0.1", Port: 80, Weight: -1}, "", "negative weight")
}

func TestExpandKeepsShares(t *testing.T) {
	lookup := func(host string) []netip.Addr {
		switch host {
		case "two":
			return addrs("10.1.0.1", "10.1.0.2")
		case "three":
			return addrs("10.2.0.1", "10.2.0.2", "10.2.0.3")
		}
		return nil
	}
	f := func(specs []Spec, want ...string) {
		t.Helper()
		got := Expand(specs, lookup)
		if len(got) != len(want) {
			t.Fatalf("got %d nodes, want %v", len(got), want)
		}
		for i, g := range got {
			text := g.Host
			if g.Addr.IsValid() {
				text += "=" + g.Addr.String()
			}
			for range g.Weight {
				text += "*"
			}
			if text != want[i] {
				t.Errorf("node %d is %s, want %s", i, text, want[i])
			}
		}
	}
	f([]Spec{{Host: "10.0.0.1", Weight: 2}, {Host: "[::1]", Weight: 1}}, "10.0.0.1**", "[::1]*")
	f([]Spec{{Host: "two", Weight: 1}, {Host: "10.0.0.1", Weight: 1}}, "two=10.1.0.1*", "two=10.1.0.2*", "10.0.0.1**")
	f([]Spec{{Host: "two", Weight: 1}, {Host: "three", Weight: 1}},
		"two=10.1.0.1***", "two=10.1.0.2***", "three=10.2.0.1**", "three=10.2.0.2**", "three=10.2.0.3**")
	f([]Spec{{Host: "nowhere", Weight: 1}, {Host: "10.0.0.1", Weight: 1}}, "10.0.0.1*")
	f([]Spec{{Host: "two", Weight: 0}}, "two=10.1.0.1", "two=10.1.0.2")
}

func TestIsDomain(t *testing.T) {
	f := func(host string, want bool) {
		t.Helper()
		n := Node{Host: host}
		if n.IsDomain() != want {
			t.Errorf("%s: got %v", host, !want)
		}
	}
	f("10.0.0.1", false)
	f("::1", false)
	f("a.example", true)
}
