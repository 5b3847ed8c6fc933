package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// result is what bench/results keeps of one scenario: every single sample.
type result struct {
	Scenario string    `json:"scenario"`
	About    string    `json:"about"`
	Machine  string    `json:"machine"`
	Time     time.Time `json:"time"`
	Seconds  float64   `json:"seconds_per_sample,omitempty"`
	// RequestRate is the constant rate of the latency scenario.
	RequestRate float64 `json:"requests_per_second_due,omitempty"`
	// Syscalls are system calls per request by gateway, 0 where they could not
	// be counted.
	Syscalls map[string]float64 `json:"syscalls_per_request,omitempty"`
	Samples  []sample           `json:"samples"`
}

// row is one gateway over all rounds: medians.
type row struct {
	Gateway                       string
	User, Sys, Rate, Ratio, Bytes float64
	LowRatio, HighRatio           float64
	P50, P99, P999, Highest       time.Duration
}

// rows lists the gateways in the order nginx, nginx-again, others by name.
func (r result) rows() []row {
	by := map[string][]sample{}
	for _, s := range r.Samples {
		by[s.Gateway] = append(by[s.Gateway], s)
	}
	var order []string
	for g := range by {
		order = append(order, g)
	}
	rank := map[string]int{"nginx": -3, "nginx-again": -2, "haproxy": -1}
	slices.SortFunc(order, func(a, b string) int {
		if d := rank[a] - rank[b]; d != 0 {
			return d
		}
		if a < b {
			return -1
		}
		return 1
	})
	var out []row
	for _, g := range order {
		ss := by[g]
		med := func(f func(sample) float64) float64 { return median(ss, f) }
		low, high := ss[0].Ratio, ss[0].Ratio
		for _, s := range ss {
			low, high = min(low, s.Ratio), max(high, s.Ratio)
		}
		out = append(out, row{
			Gateway:  g,
			User:     med(func(s sample) float64 { return s.UserUS }),
			Sys:      med(func(s sample) float64 { return s.SysUS }),
			Rate:     med(func(s sample) float64 { return s.Rate }),
			Ratio:    med(func(s sample) float64 { return s.Ratio }),
			Bytes:    med(func(s sample) float64 { return s.Bytes }),
			P50:      time.Duration(med(func(s sample) float64 { return float64(s.P50) })),
			P99:      time.Duration(med(func(s sample) float64 { return float64(s.P99) })),
			P999:     time.Duration(med(func(s sample) float64 { return float64(s.P999) })),
			Highest:  time.Duration(med(func(s sample) float64 { return float64(s.Highest) })),
			LowRatio: low, HighRatio: high,
		})
	}
	return out
}

// median of an even number of values is the mean of the middle two.
func median(ss []sample, f func(sample) float64) float64 {
	v := make([]float64, len(ss))
	for i, s := range ss {
		v[i] = f(s)
	}
	slices.Sort(v)
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

// print writes the table of medians.
func (r result) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s: %s\n", r.Scenario, r.About)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer func() { tw.Flush(); fmt.Fprintln(w) }()
	rows := r.rows()
	if len(rows) > 0 && rows[0].Bytes != 0 {
		fmt.Fprintln(tw, "gateway\tbytes per connection\tto nginx\t")
		for _, x := range rows {
			fmt.Fprintf(tw, "%s\t%.0f\t%.2f\t\n", x.Gateway, x.Bytes, x.Ratio)
		}
		return
	}
	if r.RequestRate != 0 {
		fmt.Fprintf(w, "%.0f requests a second are due\n", r.RequestRate)
		fmt.Fprintln(tw, "gateway\tp50\tp99\tp99.9\thighest\tCPU µs/req\tratio\t")
		for _, x := range rows {
			fmt.Fprintf(tw, "%s\t%v\t%v\t%v\t%v\t%.2f\t%.3f\t\n", x.Gateway, x.P50, x.P99, x.P999, x.Highest, x.User+x.Sys, x.Ratio)
		}
		return
	}
	fmt.Fprintln(tw, "gateway\tCPU µs/req\tuser\tsys\treq/s\tp50\tp99\tratio to nginx\tlowest\thighest\tsyscalls/req\t")
	for _, x := range rows {
		fmt.Fprintf(tw, "%s\t%.2f\t%.2f\t%.2f\t%.0f\t%v\t%v\t%.3f\t%.3f\t%.3f\t%.2f\t\n", x.Gateway, x.User+x.Sys, x.User, x.Sys,
			x.Rate, x.P50, x.P99, x.Ratio, x.LowRatio, x.HighRatio, r.Syscalls[x.Gateway])
	}
}

// save writes the raw result to dir, over an older one of the scenario.
func (r result) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, r.Scenario+".json"), append(text, '\n'), 0o644)
}

// loadResults reads what dir holds, in the order of the scenario table.
func loadResults(dir string) ([]result, error) {
	var all []result
	for _, s := range scenarios {
		text, err := os.ReadFile(filepath.Join(dir, s.Name+".json"))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var r result
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("%s.json: %w", s.Name, err)
		}
		all = append(all, r)
	}
	return all, nil
}
