package sysctl

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/host.md")

const docFile = "../docs/host.md"

// TestHostDoc holds docs/host.md to settings.txt. After a change:
// go test ./sysctl -run HostDoc -update
func TestHostDoc(t *testing.T) {
	want := hostDoc()
	if *update {
		if err := os.WriteFile(docFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(docFile)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/host.md is not what settings.txt says (%v): go test ./sysctl -run HostDoc -update", err)
	}
}

const docHead = `# The host

Made from sysctl/settings.txt by ` + "`go test ./sysctl -run HostDoc -update`" + `; do not edit.

What a host's kernel does before and after the gateway bounds what the gateway
can do. ` + "`gw doctor`" + ` compares the host with the table below, and looks at accept
queues, dropped connections, quotas and more; it changes nothing. The table is
applied by ` + "`sysctl/tune.sh`" + `:

    sysctl/tune.sh --dry-run edge     what would change, and why
    sudo sysctl/tune.sh apply edge    change it; the old values are recorded
    sudo sysctl/tune.sh undo          put them back exactly

Profiles: **edge** for a host that serves traffic, **bench** for measuring,
**container** for what a container may set of its own network namespace.

- A setting that the kernel lacks is left out. One that cannot be written is
  named, the others are set, and the exit code is 1.
- Applying twice changes nothing more; applying another profile undoes the first
  one before. The record is in /var/lib/sluice/tune (SLUICE_TUNE_STATE).
- Values change at once and are gone after a restart of the host, except the
  open-file limits: these are files, and hold from the next login or start of
  the service.
- "At least" values are never lowered, "at most" values never raised.

`

var ruleWords = map[string]string{
	"min": "at least", "max": "at most", "eq": "exactly", "span": "at least the range",
	"rps": "all CPUs, where the card has fewer queues", "xps": "CPUs in turn, where there are several queues",
	"spread": "CPUs in turn",
}

func hostDoc() []byte {
	var b bytes.Buffer
	b.WriteString(docHead)
	b.WriteString("| Setting | edge | bench | container | Rule | Reason | Source |\n|---|---|---|---|---|---|---|\n")
	for _, s := range Settings() {
		var cells []string
		for _, v := range s.Values {
			if v == "" {
				v = "left alone"
			}
			cells = append(cells, v)
		}
		key := s.Key
		switch s.Kind {
		case "sys":
			key = "/sys/" + key
		case "irq":
			key = "/proc/irq/N/" + key
		case "limits", "systemd":
			key = "/etc/" + key
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", key, strings.Join(cells, " | "), ruleWords[s.Rule], s.Reason, s.Source)
	}
	return b.Bytes()
}
