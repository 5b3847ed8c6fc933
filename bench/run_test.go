package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The whole machinery with nginx alone: two of them have to come out alike,
// within the wide limits of a busy machine.
func TestMeasureNginx(t *testing.T) {
	for _, program := range []string{"nginx", "wrk", "taskset"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	dir := t.TempDir()
	o := options{rounds: 1, duration: time.Second, loadCore: 0, selfCheck: true, results: filepath.Join(dir, "results")}
	var err error
	if o.scenarios, err = choose("plain"); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	all, err := loadResults(o.results)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d results, error %v", len(all), err)
	}
	rows := all[0].rows()
	if len(rows) != 2 || rows[0].Gateway != "nginx" || rows[1].Gateway != "nginx-again" {
		t.Fatalf("rows %+v", rows)
	}
	if r := rows[1].Ratio; r < 0.4 || r > 2.5 {
		t.Errorf("one nginx costs %.2f times the other", r)
	}
	chart, err := os.ReadFile(filepath.Join(o.results, "chart.svg"))
	if err != nil || !strings.Contains(string(chart), "nginx-again") {
		t.Errorf("chart: error %v, %d bytes", err, len(chart))
	}
}
