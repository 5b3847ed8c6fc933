package meter

import (
	"io"
	"strconv"
)

// flushSize is how much text is collected before it is written.
const flushSize = 64 << 10

var help = [numFamilies][2]string{
	Status:    {"counter", "HTTP status codes per route and service"},
	Latency:   {"histogram", "HTTP request latency in milliseconds per route and service"},
	Bandwidth: {"counter", "Total bandwidth in bytes per route and service"},
}

// WriteMetrics writes all series in the Prometheus text format. It runs beside
// the loops and holds up none of them; numbers that change while it runs may
// be of either side of the change.
func (r *Registry) WriteMetrics(w io.Writer) {
	r.expire()
	o := r.opts.Load()
	t := &text{w: w, o: o, b: make([]byte, 0, flushSize+4<<10)}
	for f := range numFamilies {
		list, cells := r.copyList(f)
		if len(list) == 0 {
			continue
		}
		name := o.Prefix + familyNames[f]
		t.b = append(t.b, "# HELP "+name+" "+help[f][1]+"\n# TYPE "+name+" "+help[f][0]+"\n"...)
		sum := make([]uint64, o.words[f])
		for i, s := range list {
			clear(sum)
			for _, c := range cells[i] {
				for j := range sum {
					sum[j] += c.n[j].Load()
				}
			}
			switch f {
			case Status:
				t.value(name, "", "", s.labels, sum[0])
			case Bandwidth:
				t.value(name, "type", "ingress", s.labels, sum[0])
				t.value(name, "type", "egress", s.labels, sum[1])
			case Latency:
				t.histograms(name, s.labels, sum)
			}
			if len(t.b) >= flushSize {
				t.flush()
			}
		}
	}
	refused := r.refused.Load()
	for i := range r.stripe {
		if s := r.stripe[i].Load(); s != nil {
			refused += s.refused.Load()
		}
	}
	const lost = "sluice_metrics_series_refused_total"
	t.b = append(t.b, "# HELP "+lost+" Observations left out because their series was one too many or its route was gone.\n# TYPE "+lost+" counter\n"+lost+" "...)
	t.b = append(strconv.AppendUint(t.b, refused, 10), '\n')
	t.flush()
}

func (r *Registry) copyList(f Family) ([]*series, [][]*cell) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list[f][:len(r.list[f]):len(r.list[f])]
	cells := make([][]*cell, len(list))
	for i, s := range list {
		cells[i] = s.cells
	}
	return list, cells
}

type text struct {
	w io.Writer
	o *options
	b []byte
}

func (t *text) flush() {
	_, _ = t.w.Write(t.b) // a reader that went away misses the rest
	t.b = t.b[:0]
}

func (t *text) open(name, label, value, labels string) {
	t.b = append(append(t.b, name...), '{')
	if label != "" {
		t.b = append(append(append(append(t.b, label...), '=', '"'), value...), '"', ',')
	}
	t.b = append(t.b, labels...)
}

func (t *text) value(name, label, value, labels string, n uint64) {
	t.open(name, label, value, labels)
	t.b = append(t.b, '}', ' ')
	t.b = append(strconv.AppendUint(t.b, n, 10), '\n')
}

var typeNames = [numTypes]string{"request", "upstream", "apisix"}

func (t *text) histograms(name, labels string, words []uint64) {
	size := t.o.histogram()
	for which, kind := range typeNames {
		h := words[which*size:][:size]
		count := uint64(0)
		for i := range size - 1 {
			count += h[i]
		}
		if count == 0 {
			continue
		}
		below := uint64(0)
		for i := range size - 1 {
			below += h[i]
			t.open(name+"_bucket", "type", kind, labels)
			t.b = append(t.b, `,le="`...)
			if i < len(t.o.Buckets) {
				t.b = strconv.AppendFloat(t.b, t.o.Buckets[i], 'f', -1, 64)
			} else {
				t.b = append(t.b, "+Inf"...)
			}
			t.b = append(t.b, '"', '}', ' ')
			t.b = append(strconv.AppendUint(t.b, below, 10), '\n')
		}
		t.value(name+"_count", "type", kind, labels, count)
		t.open(name+"_sum", "type", kind, labels)
		t.b = append(t.b, '}', ' ')
		t.b = append(strconv.AppendFloat(t.b, float64(h[size-1])/1e6, 'f', -1, 64), '\n')
	}
}
