package index

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

func TestTableAgreesWithAMap(t *testing.T) {
	table, want := New[int](), map[string]int{}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		key := fmt.Sprint("k", r.IntN(3000))
		if r.IntN(3) == 0 {
			_, had := want[key]
			if got := table.Delete(key); got != had {
				t.Fatalf("Delete(%s) = %v, want %v", key, got, had)
			}
			delete(want, key)
			continue
		}
		v := r.IntN(1000)
		table.Set(key, v)
		want[key] = v
	}
	if table.Len() != len(want) {
		t.Errorf("Len() = %d, want %d", table.Len(), len(want))
	}
	for i := range 3000 {
		key := fmt.Sprint("k", i)
		v, ok := want[key]
		got := table.GetString(key)
		if (got != nil) != ok || ok && *got != v {
			t.Fatalf("Get(%s) = %v, want %v, %v", key, got, v, ok)
		}
	}
	seen := 0
	table.All(func(key string, v *int) bool {
		if want[key] != *v {
			t.Errorf("All gave %s %d, want %d", key, *v, want[key])
		}
		seen++
		return true
	})
	if seen != len(want) {
		t.Errorf("All gave %d entries, want %d", seen, len(want))
	}
}

func TestValuesStayGoodAfterAChange(t *testing.T) {
	table := New[string]()
	table.Set("a", "one")
	v := table.GetString("a")
	table.Set("a", "two")
	table.Delete("a")
	if *v != "one" {
		t.Errorf("a value that a reader held became %q", *v)
	}
}

// A reader must find a key that is there all the time, whatever happens to
// others and to the directory.
func TestReadersDuringChanges(t *testing.T) {
	table := New[int]()
	table.Set("stays", 1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			key := []byte("stays")
			for {
				select {
				case <-stop:
					return
				default:
				}
				if v := table.Get(key); v == nil || *v < 1 {
					t.Error("the key was missing for a moment")
					return
				}
			}
		})
	}
	for i := range 50000 {
		table.Set(fmt.Sprint(i), i)
		if i%3 == 0 {
			table.Delete(fmt.Sprint(i / 2))
		}
		if i%7 == 0 {
			table.Set("stays", i+1)
		}
	}
	close(stop)
	wg.Wait()
}

func TestLookupDoesNotAllocate(t *testing.T) {
	table := New[int]()
	table.Set("key", 1)
	key := []byte("key")
	if n := testing.AllocsPerRun(100, func() { table.Get(key) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestSizeOfAMillionEntries(t *testing.T) {
	if testing.Short() {
		t.Skip("fills 100 MB")
	}
	const n = 1_000_000
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%d", i)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	table := New[*int]()
	for _, k := range keys {
		table.Set(k, nil)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if per := (after.HeapAlloc - before.HeapAlloc) / n; per > 80 {
		t.Errorf("%d bytes per entry, want at most 80", per)
	}
	runtime.KeepAlive(keys)
	runtime.KeepAlive(table)
}
