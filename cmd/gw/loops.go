package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicegw/sluice/core/listen"
	"github.com/sluicegw/sluice/core/meter"
)

// dataStatus is what a data process reports of itself.
type dataStatus struct {
	PID     int            `json:"pid"`
	Epoch   uint64         `json:"epoch"`
	Started time.Time      `json:"started"`
	Loops   []loopStatus   `json:"loops"`
	Objects map[string]int `json:"objects"`
	Rev     int64          `json:"rev"`
	Figures processFigures `json:"figures"`
}

// loopStatus is one loop, with the processor time of its thread where that
// can be told.
type loopStatus struct {
	listen.LoopStatus
	BusySeconds float64 `json:"busy_seconds"`
}

// Status implements proc.DataPlane.
func (d *dataPlane) Status() any {
	st := dataStatus{PID: os.Getpid(), Epoch: d.boot.Epoch, Started: d.started, Figures: ownFigures()}
	d.mu.Lock()
	st.Objects, st.Rev = d.builder.Counts(), d.builder.Rev()
	d.mu.Unlock()
	st.Loops = d.loops()
	return st
}

func (d *dataPlane) loops() []loopStatus {
	busy := d.cpu.read()
	states := d.server.Status()
	list := make([]loopStatus, len(states))
	for i := range states {
		list[i].LoopStatus = states[i]
		seconds, known := busy[loopThread(i)]
		if !known && states[i].CPU >= 0 {
			seconds = busy[pinnedThread(states[i].CPU)]
		}
		list[i].BusySeconds = seconds
	}
	return list
}

// Metrics implements proc.DataPlane.
func (d *dataPlane) Metrics(w io.Writer) {
	meter.Default.WriteMetrics(w)
	d.server.WriteMetrics(w)
	d.writeDashboardMetrics(w)
	d.writeLogMetrics(w)
	m := metricWriter{w: w, prefix: "sluice_"}
	m.head("loop_busy_seconds_total", "counter", "Processor time of the loop's thread.")
	for i, l := range d.loops() {
		m.value("loop_busy_seconds_total", fmt.Sprintf(`loop="%d"`, i), l.BusySeconds)
	}
	d.writeSharedMetrics(w)
}

// processFigures are figures of the Go runtime and the kernel about this
// process.
type processFigures struct {
	Goroutines int   `json:"goroutines"`
	Threads    int   `json:"threads"`
	OpenFDs    int   `json:"open_fds"`
	RSS        int64 `json:"rss"`
	Heap       int64 `json:"heap"`
	Garbage    int64 `json:"gc_cycles"`
}

func ownFigures() processFigures {
	f := processFigures{Goroutines: runtime.NumGoroutine(), RSS: residentMemory()}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		f.OpenFDs = len(fds)
	}
	if tasks, err := os.ReadDir("/proc/self/task"); err == nil {
		f.Threads = len(tasks)
	}
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(samples)
	f.Heap, f.Garbage = int64(samples[0].Value.Uint64()), int64(samples[1].Value.Uint64())
	return f
}

// writeProcessMetrics writes the figures of the processes, one family after
// the other.
func writeProcessMetrics(w io.Writer, by map[string]processFigures) {
	m := metricWriter{w: w}
	for _, family := range []struct {
		name, kind, help string
		of               func(*processFigures) float64
	}{
		{"go_goroutines", "gauge", "Goroutines.", func(f *processFigures) float64 { return float64(f.Goroutines) }},
		{"go_threads", "gauge", "Threads.", func(f *processFigures) float64 { return float64(f.Threads) }},
		{"go_gc_cycles_total", "counter", "Garbage collections.", func(f *processFigures) float64 { return float64(f.Garbage) }},
		{"go_heap_objects_bytes", "gauge", "Memory of objects on the heap.", func(f *processFigures) float64 { return float64(f.Heap) }},
		{"process_open_fds", "gauge", "Open descriptors.", func(f *processFigures) float64 { return float64(f.OpenFDs) }},
		{"process_resident_memory_bytes", "gauge", "Resident memory.", func(f *processFigures) float64 { return float64(f.RSS) }},
	} {
		m.head(family.name, family.kind, family.help)
		for _, name := range slices.Sorted(maps.Keys(by)) {
			f := by[name]
			m.value(family.name, fmt.Sprintf("process=%q", name), family.of(&f))
		}
	}
}

// metricWriter writes Prometheus text.
type metricWriter struct {
	w      io.Writer
	prefix string
}

func (m *metricWriter) head(name, kind, help string) {
	fmt.Fprintf(m.w, "# HELP %s%s %s\n# TYPE %s%s %s\n", m.prefix, name, help, m.prefix, name, kind)
}

func (m *metricWriter) value(name, labels string, v float64) {
	if labels != "" {
		labels = "{" + labels + "}"
	}
	fmt.Fprintf(m.w, "%s%s%s %s\n", m.prefix, name, labels, strconv.FormatFloat(v, 'g', -1, 64))
}

func residentMemory() int64 {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(raw))
	if len(f) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// threadTimes reads the processor time of this process's threads.
type threadTimes struct {
	mu   sync.Mutex
	last map[string]float64
	at   time.Time
}

// threadTimesAge is how old an answer may be: reading costs a few files per
// thread.
const threadTimesAge = 500 * time.Millisecond

func loopThread(i int) string     { return "gw-loop-" + strconv.Itoa(i) }
func pinnedThread(cpu int) string { return "cpu " + strconv.Itoa(cpu) }

// read returns seconds by thread name, and by processor for threads that are
// the only ones pinned to it.
func (t *threadTimes) read() map[string]float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last != nil && time.Since(t.at) < threadTimesAge {
		return t.last
	}
	times := make(map[string]float64)
	pinned := make(map[int]int)
	tasks, err := filepath.Glob("/proc/self/task/[0-9]*")
	if err != nil {
		return nil
	}
	for _, dir := range tasks {
		seconds, name, ok := taskTime(dir)
		if !ok {
			continue
		}
		times[name] = seconds
		tid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		var set unix.CPUSet
		if unix.SchedGetaffinity(tid, &set) == nil && set.Count() == 1 {
			for cpu := range len(set) * 64 {
				if set.IsSet(cpu) {
					pinned[cpu]++
					times[pinnedThread(cpu)] = seconds
				}
			}
		}
	}
	for cpu, n := range pinned {
		if n > 1 {
			delete(times, pinnedThread(cpu))
		}
	}
	t.last, t.at = times, time.Now()
	return times
}

// ticksPerSecond is USER_HZ, which is 100 wherever Go runs on Linux.
const ticksPerSecond = 100

func taskTime(dir string) (seconds float64, name string, ok bool) {
	raw, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return 0, "", false
	}
	text := string(raw)
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return 0, "", false
	}
	f := strings.Fields(text[end+1:])
	if len(f) < 13 {
		return 0, "", false
	}
	user, err1 := strconv.ParseFloat(f[11], 64)
	system, err2 := strconv.ParseFloat(f[12], 64)
	return (user + system) / ticksPerSecond, text[open+1 : end], err1 == nil && err2 == nil
}
