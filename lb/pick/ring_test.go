package pick

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"github.com/sluicegw/sluice/lb/node"
)

// crcBitwise is CRC-32 from its definition (reflected polynomial 0xEDB88320),
// so that the ring is not checked against the code that builds it.
func crcBitwise(b []byte) uint32 {
	c := ^uint32(0)
	for _, x := range b {
		c ^= uint32(x)
		for range 8 {
			c = c>>1 ^ 0xEDB88320&-(c&1)
		}
	}
	return ^c
}

func TestCRC32PlaceIsCRC32(t *testing.T) {
	if got := crc32Place([]byte("123456789")); got != 0xCBF43926 {
		t.Fatalf("the check value is %08x, want cbf43926", got)
	}
	b := make([]byte, 100)
	for i := range b {
		b[i] = byte(i * 7)
		if got, want := crc32Place(b[:i]), crcBitwise(b[:i]); got != want || got != crc32.ChecksumIEEE(b[:i]) {
			t.Fatalf("%d bytes: %08x, want %08x", i, got, want)
		}
	}
}

// TestCRC32RingMatchesAPISIX builds the ring from the description of the
// contract and compares where keys go.
func TestCRC32RingMatchesAPISIX(t *testing.T) {
	type point struct {
		place uint32
		key   string
	}
	f := func(list []node.Spec, ids []string, units []int) {
		t.Helper()
		nodes := makeNodes(t, list)
		var ring []point
		for i, id := range ids {
			prev := uint32(0)
			for range 160 * units[i] {
				prev = crcBitwise(append([]byte(id), byte(prev), byte(prev>>8), byte(prev>>16), byte(prev>>24)))
				ring = append(ring, point{prev, nodes[i].Key})
			}
		}
		sort.Slice(ring, func(i, j int) bool { return ring[i].place < ring[j].place })
		p := makePicker(t, Config{Type: CRC32APISIX, Nodes: nodes})
		for i := range 5000 {
			k := key(i)
			h := crcBitwise(k)
			at := sort.Search(len(ring), func(i int) bool { return ring[i].place >= h })
			in := Input{Key: k}
			// The first try and the walk of the retries.
			for range nodes {
				for slices.ContainsFunc(in.Tried, func(n *node.Node) bool { return n.Key == ring[at%len(ring)].key }) {
					at++
				}
				n := p.Pick(&in)
				if want := ring[at%len(ring)].key; n == nil || n.Key != want {
					t.Fatalf("key %q, try %d: got %v, want %s", k, len(in.Tried)+1, n, want)
				}
				in.Tried = append(in.Tried, n)
				p.Done(n, 0, 1, true)
			}
		}
	}
	spec := func(host string, port uint16, weight int) node.Spec {
		return node.Spec{Host: host, Port: port, Weight: weight}
	}
	f([]node.Spec{spec("127.0.0.1", 1980, 1), spec("127.0.0.1", 1981, 1), spec("127.0.0.1", 1982, 1)},
		[]string{"127.0.0.1\x001980", "127.0.0.1\x001981", "127.0.0.1\x001982"}, []int{1, 1, 1})
	f([]node.Spec{spec("10.1.2.3", 80, 200), spec("10.1.2.4", 8080, 100)},
		[]string{"10.1.2.3\x0080", "10.1.2.4\x008080"}, []int{2, 1})
	f([]node.Spec{spec("[2001:db8::1]", 443, 1), spec("10.0.0.1", 443, 3)},
		[]string{"[2001\x00db8\x00\x001]\x00443", "10.0.0.1\x00443"}, []int{1, 3})
}

// TestCRC32RingGoldenValues pins points and owners that zlib's CRC-32 gave.
func TestCRC32RingGoldenValues(t *testing.T) {
	f := func(nodeKey string, want ...uint32) {
		t.Helper()
		var got []uint32
		crc32Points(nodeKey, len(want), func(p uint32) { got = append(got, p) })
		if !slices.Equal(got, want) {
			t.Errorf("%s: points %08x, want %08x", nodeKey, got, want)
		}
	}
	f("127.0.0.1:1980", 0xe71dcbbf, 0xfef4f715, 0x1a84f2e5)
	f("[::1]:80", 0x885d37ad, 0xfa0e2d6b)

	list := []node.Spec{
		{Host: "127.0.0.1", Port: 1980, Weight: 1},
		{Host: "127.0.0.1", Port: 1981, Weight: 1},
		{Host: "127.0.0.1", Port: 1982, Weight: 1},
	}
	p := makePicker(t, Config{Type: CRC32APISIX, Nodes: makeNodes(t, list)})
	owner := func(key string, port uint16) {
		t.Helper()
		if n := p.Pick(&Input{Key: []byte(key)}); n.Addr.Port() != port {
			t.Errorf("key %q went to port %d, want %d", key, n.Addr.Port(), port)
		}
	}
	owner("1", 1982)
	owner("2", 1980)
	owner("3", 1980)
	owner("user-42", 1982)
	owner("/hello", 1981)
	owner("192.168.0.1", 1981)
	owner("", 1982)
}

func TestFindIsTheFirstPointAtOrBehind(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 64, 65} {
		for _, kind := range []ringKind{xxhashRing, crc32Ring} {
			nodes := makeNodes(t, specs(equal(n, 1)...))
			r, drawn := newRing(nodes, kind), draw(nodes, kind)
			for i, p := range drawn {
				if r.node(i) != uint32(p) {
					t.Fatalf("%d nodes: point %d is of node %d, want %d", n, i, r.node(i), uint32(p))
				}
			}
			check := func(place uint32) {
				t.Helper()
				want := sort.Search(len(drawn), func(i int) bool { return uint32(drawn[i]>>32) >= place })
				if want == len(drawn) {
					want = 0
				}
				if got := r.find(place); got != want {
					t.Fatalf("%d nodes, place %08x: position %d, want %d", n, place, got, want)
				}
			}
			check(0)
			check(1<<32 - 1)
			for _, p := range drawn {
				at := uint32(p >> 32)
				check(at)
				check(at - 1)
				check(at + 1)
			}
			rnd := rand.New(rand.NewPCG(5, 6))
			for range 10000 {
				check(rnd.Uint32())
			}
		}
	}
}

// owners returns where each key goes.
func owners(p Picker, keys int) []string {
	out := make([]string, keys)
	for i := range out {
		n := p.Pick(&Input{Key: key(i)})
		out[i] = n.Key
		p.Done(n, 0, 1, true)
	}
	return out
}

func TestAddingANodeMovesOnlyItsShareOfKeys(t *testing.T) {
	const keys = 20_000
	for _, typ := range []string{CHash, CRC32APISIX, Emmie} {
		for _, n := range []int{2, 3, 5, 10, 50} {
			t.Run(fmt.Sprintf("%s/%d", typ, n), func(t *testing.T) {
				list := specs(equal(n, 100)...)
				before := owners(makePicker(t, Config{Type: typ, Nodes: makeNodes(t, list[:n-1])}), keys)
				nodes := makeNodes(t, list)
				after := owners(makePicker(t, Config{Type: typ, Nodes: nodes}), keys)
				moved := 0
				for i := range keys {
					if before[i] == after[i] {
						continue
					}
					moved++
					if n > 2 && after[i] != nodes[n-1].Key {
						t.Fatalf("key %d moved from %s to %s, neither of which is new", i, before[i], after[i])
					}
				}
				if share := float64(moved) / keys; share > 1/float64(n)+0.10 {
					t.Errorf("%.1f %% of the keys moved to one node of %d", 100*share, n)
				}
			})
		}
	}
}

func TestOnlyTheKeysOfADownNodeMove(t *testing.T) {
	for _, typ := range []string{CHash, CRC32APISIX, Emmie} {
		nodes := makeNodes(t, specs(equal(8, 1)...))
		p := makePicker(t, Config{Type: typ, Nodes: nodes})
		before := owners(p, 20000)
		down(nodes[2])
		during := owners(p, 20000)
		up(nodes[2], 1)
		after := owners(p, 20000)
		for i := range before {
			if before[i] != nodes[2].Key && during[i] != before[i] {
				t.Fatalf("%s: key %d moved from %s, which is up", typ, i, before[i])
			}
			if during[i] == nodes[2].Key {
				t.Fatalf("%s: key %d went to a node that is down", typ, i)
			}
			if after[i] != before[i] {
				t.Fatalf("%s: key %d did not come back", typ, i)
			}
		}
	}
}

func TestRingSharesFollowWeights(t *testing.T) {
	f := func(typ string, weights ...int) {
		t.Helper()
		nodes := makeNodes(t, specs(weights...))
		p := makePicker(t, Config{Type: typ, Nodes: nodes})
		sum := 0
		for _, w := range weights {
			sum += w
		}
		const keys = 20_000
		counts := make(map[string]int)
		for _, o := range owners(p, keys) {
			counts[o]++
		}
		for i, n := range nodes {
			got, want := float64(counts[n.Key])/keys, float64(weights[i])/float64(sum)
			// 160 points scatter a node's share by about 8 % of itself.
			if got < want*0.7 || got > want*1.3 {
				t.Errorf("%s %v: node %d has %.3f of the keys, want about %.3f", typ, weights, i, got, want)
			}
		}
	}
	for _, typ := range []string{CHash, CRC32APISIX} {
		f(typ, 1, 1)
		f(typ, 1, 1, 1, 1, 1)
		f(typ, 1, 2, 3)
		f(typ, 100, 300)
	}
}

func TestTheOrderOfNodesDoesNotMoveKeys(t *testing.T) {
	list := specs(1, 2, 3, 4)
	p := makePicker(t, Config{Type: CHash, Nodes: makeNodes(t, list)})
	slices.Reverse(list)
	q := makePicker(t, Config{Type: CHash, Nodes: makeNodes(t, list)})
	if !slices.Equal(owners(p, 10000), owners(q, 10000)) {
		t.Error("keys moved when the node list was reversed")
	}
}

func TestARingIsBounded(t *testing.T) {
	r := newRing(makeNodes(t, specs(1_000_003, 999_983, 1)), xxhashRing)
	if len(r.points) > maxRingPoints+3*pointsPerUnit {
		t.Errorf("a ring of %d points, want at most about %d", len(r.points), maxRingPoints)
	}
	light := 0
	for i := range r.points {
		if r.node(i) == 2 {
			light++
		}
	}
	if light != pointsPerUnit {
		t.Errorf("the node of weight 1 has %d points, want %d", light, pointsPerUnit)
	}
}

func TestXXHashPointsOfALesserWeightAreAPrefix(t *testing.T) {
	collect := func(n int) []byte {
		var b bytes.Buffer
		xxhashPoints("10.0.0.1:80", n, func(p uint32) { fmt.Fprintf(&b, "%08x ", p) })
		return b.Bytes()
	}
	if !bytes.HasPrefix(collect(320), collect(160)) || !bytes.HasPrefix(collect(160), collect(7)) {
		t.Error("a greater weight does not keep the points of a smaller one")
	}
}
