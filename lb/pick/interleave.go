package pick

import "container/heap"

// maxTable bounds an interleaving: 256 KiB. Weights whose total is greater are
// scaled down to it, which moves no node's share by more than 1/65536 of the
// traffic (but a node of weight 1 keeps one turn).
const maxTable = 1 << 16

// interleave returns a cycle in which index i stands weights[i] times, so
// evenly that after any number of turns from its start every index has had its
// exact share rounded up or down.
//
// Each turn of an index is a unit of work that may not start before its share
// of turns has come due and must be done before the next comes due:
// the k-th of w in a cycle of s may stand at floor(k*s/w) to ceil((k+1)*s/w)-1.
// Taking the due unit with the earliest deadline meets them all (this is
// proportionate fair scheduling on one processor).
func interleave(weights []uint32) []uint32 {
	total := uint64(0)
	even := true
	for _, w := range weights {
		total += uint64(w)
		even = even && w == weights[0]
	}
	table := make([]uint32, 0, total)
	if even { // Fast path: any order of turns is exact
		for range weights[0] {
			for i := range weights {
				table = append(table, uint32(i))
			}
		}
		return table
	}

	waiting := make(unitHeap, 0, len(weights)) // by when they come due
	var ready unitHeap                         // by deadline
	for i, w := range weights {
		waiting = append(waiting, unit{index: uint32(i), weight: uint64(w)})
	}
	heap.Init(&waiting)
	for at := uint64(0); at < total; at++ {
		for len(waiting) > 0 && waiting[0].key <= at {
			u := heap.Pop(&waiting).(unit)
			u.key = ((u.done+1)*total + u.weight - 1) / u.weight
			heap.Push(&ready, u)
		}
		u := heap.Pop(&ready).(unit)
		table = append(table, u.index)
		u.done++
		if u.done < u.weight {
			u.key = u.done * total / u.weight
			heap.Push(&waiting, u)
		}
	}
	return table
}

// unit is the next turn of an index.
type unit struct {
	key    uint64 // position at which it comes due, or its deadline
	weight uint64 // turns in a cycle
	done   uint64 // turns given
	index  uint32
}

type unitHeap []unit

func (h unitHeap) Len() int { return len(h) }

func (h unitHeap) Less(i, j int) bool {
	if h[i].key != h[j].key {
		return h[i].key < h[j].key
	}
	return h[i].index < h[j].index
}

func (h unitHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *unitHeap) Push(x any) { *h = append(*h, x.(unit)) }

func (h *unitHeap) Pop() any {
	old := *h
	u := old[len(old)-1]
	*h = old[:len(old)-1]
	return u
}
