package sysctl

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// host is a copy of the places that tune.sh changes.
type host struct {
	t    *testing.T
	root string
}

// newHost makes a host with two CPUs, a card with two queues of each kind, and
// a kernel that lacks some of the keys.
func newHost(t *testing.T) *host {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Fatalf("tune.sh needs bash: %v", err)
	}
	mustHaveScript(t)
	h := &host{t, t.TempDir()}
	for path, text := range map[string]string{
		"proc/sys/net/core/somaxconn":                          "4096",
		"proc/sys/net/core/rmem_max":                           "33554432",
		"proc/sys/net/ipv4/tcp_tw_reuse":                       "2",
		"proc/sys/net/ipv4/ip_local_port_range":                "32768\t60999",
		"proc/sys/net/ipv4/tcp_rmem":                           "8192\t131072\t6291456",
		"proc/sys/net/ipv4/tcp_fin_timeout":                    "60",
		"proc/sys/net/ipv4/tcp_notsent_lowat":                  "4294967295",
		"proc/sys/fs/file-max":                                 "18446744073709551615",
		"proc/irq/37/smp_affinity_list":                        "0",
		"proc/irq/40/smp_affinity_list":                        "0",
		"sys/kernel/mm/transparent_hugepage/enabled":           "always",
		"sys/devices/system/cpu/online":                        "0-3",
		"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil",
		"sys/class/net/lo/queues/rx-0/rps_cpus":                "0",
		"sys/class/net/eth0/device/msi_irqs/37":                "msix",
		"sys/class/net/eth0/device/msi_irqs/40":                "msix",
		"sys/class/net/eth0/queues/rx-0/rps_cpus":              "00",
		"sys/class/net/eth0/queues/rx-1/rps_cpus":              "0f",
		"sys/class/net/eth0/queues/tx-0/xps_cpus":              "0",
		"sys/class/net/eth0/queues/tx-1/xps_cpus":              "0",
		"etc/security/limits.d/60-sluice.conf":                 "# someone's own",
	} {
		h.set(path, text)
	}
	return h
}

// mustHaveScript looks at the script itself, so that go test runs again when it
// has changed instead of showing an earlier result.
func mustHaveScript(t *testing.T) {
	t.Helper()
	if _, err := os.ReadFile("tune.sh"); err != nil {
		t.Fatal(err)
	}
}

func (h *host) set(path, text string) {
	h.t.Helper()
	path = filepath.Join(h.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// files is everything on the host, directories too.
func (h *host) files() map[string]string {
	h.t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(h.root, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(h.root, path)
		if err != nil || d.IsDir() {
			all[rel] = "directory"
			return err
		}
		text, err := os.ReadFile(path)
		all[rel] = string(text)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

func (h *host) tune(args ...string) string {
	h.t.Helper()
	cmd := exec.Command("bash", append([]string{"tune.sh"}, args...)...)
	cmd.Env = append(os.Environ(), "SLUICE_TUNE_PROC="+h.root+"/proc", "SLUICE_TUNE_SYS="+h.root+"/sys",
		"SLUICE_TUNE_ETC="+h.root+"/etc", "SLUICE_TUNE_STATE="+h.root+"/state")
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("tune.sh %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (h *host) mustBe(what string, want map[string]string) {
	h.t.Helper()
	got := h.files()
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if got[path] != want[path] {
			h.t.Errorf("%s: %s is %q, not %q", what, path, got[path], want[path])
		}
		delete(got, path)
	}
	for path := range got {
		h.t.Errorf("%s: %s is left over", what, path)
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.tune("apply", "edge")
	got := h.files()
	f := func(path, want string) {
		t.Helper()
		if got[path] != want+"\n" {
			t.Errorf("%s is %q, not %q", path, got[path], want)
		}
	}
	f("proc/sys/net/core/somaxconn", "32768")
	f("proc/sys/net/core/rmem_max", "33554432") // more than wanted stays
	f("proc/sys/net/ipv4/tcp_tw_reuse", "1")
	f("proc/sys/net/ipv4/ip_local_port_range", "10240 65535")
	f("proc/sys/net/ipv4/tcp_rmem", "8192 131072 16777216")
	f("proc/sys/net/ipv4/tcp_fin_timeout", "15")
	f("proc/sys/net/ipv4/tcp_notsent_lowat", "131072")
	f("proc/sys/fs/file-max", "18446744073709551615")
	f("sys/kernel/mm/transparent_hugepage/enabled", "madvise")
	f("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance")
	f("proc/irq/37/smp_affinity_list", "0")
	f("proc/irq/40/smp_affinity_list", "1")
	f("sys/class/net/lo/queues/rx-0/rps_cpus", "0") // no hardware
	f("sys/class/net/eth0/queues/rx-0/rps_cpus", "f")
	f("sys/class/net/eth0/queues/rx-1/rps_cpus", "0f") // the same mask
	f("sys/class/net/eth0/queues/tx-0/xps_cpus", "5")
	f("sys/class/net/eth0/queues/tx-1/xps_cpus", "a")
	f("etc/systemd/system/gw.service.d/60-limits.conf",
		"# Written by Sluice's tune.sh; tune.sh undo removes it.\n[Service]\nLimitNOFILE=1048576")
	if _, ok := got["proc/sys/net/ipv4/tcp_tw_recycle"]; ok {
		t.Error("a key that the kernel lacks was made")
	}
}

func TestApplyAgainChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.tune("apply", "edge")
	want := h.files()
	if out := h.tune("apply", "edge"); out != "nothing to change for profile edge\n" {
		t.Errorf("the second apply says %q", out)
	}
	h.mustBe("after the second apply", want)
}

func TestUndoRestoresExactly(t *testing.T) {
	t.Parallel()
	f := func(steps ...string) {
		t.Helper()
		h := newHost(t)
		want := h.files()
		for _, step := range steps {
			h.tune(strings.Fields(step)...)
		}
		h.tune("undo")
		h.mustBe(strings.Join(steps, ", "), want)
	}
	f()
	f("apply")
	f("apply", "apply")
	f("apply edge", "apply bench", "apply container")
	f("apply container")
	f("apply", "undo", "apply")
}

func TestTwRecycleIsTurnedOff(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.set("proc/sys/net/ipv4/tcp_tw_recycle", "1")
	h.tune("apply", "container")
	if got := h.files()["proc/sys/net/ipv4/tcp_tw_recycle"]; got != "0\n" {
		t.Errorf("tcp_tw_recycle is %q", got)
	}
}

func TestMoreThan32CPUs(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.set("sys/devices/system/cpu/online", "0-33,35")
	h.tune("apply")
	if got := h.files()["sys/class/net/eth0/queues/rx-0/rps_cpus"]; got != "b,ffffffff\n" {
		t.Errorf("the mask of CPUs 0-33,35 is %q", got)
	}
}

func TestKernelThatHasNothing(t *testing.T) {
	t.Parallel()
	h := &host{t, t.TempDir()}
	h.tune("apply", "edge")
	h.tune("undo")
	if left := h.files(); len(left) != 1 {
		t.Errorf("left over: %q", left)
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	want := h.files()
	out := h.tune("--dry-run", "edge")
	for _, line := range []string{
		"net.core.somaxconn: 4096 -> 32768", "net.ipv4.tcp_rmem: 8192 131072 6291456 -> 8192 131072 16777216",
		"irq 40 of eth0: 0 -> 1", "gw.service.d/60-limits.conf: to be written",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("the difference lacks %q:\n%s", line, out)
		}
	}
	h.mustBe("after a dry run", want)
	h.tune("apply")
	want = h.files()
	h.tune("undo", "--dry-run")
	h.tune("--dry-run", "bench")
	h.mustBe("after a dry undo", want)
}

// A setting that cannot be written does not keep the others from being set.
func TestRefusedSetting(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	path := filepath.Join(h.root, "proc/sys/net/core/somaxconn")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	// Not even root can write to this one.
	if err := os.Symlink("/proc/version", path); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "tune.sh", "apply")
	cmd.Env = append(os.Environ(), "SLUICE_TUNE_PROC="+h.root+"/proc", "SLUICE_TUNE_SYS="+h.root+"/sys",
		"SLUICE_TUNE_ETC="+h.root+"/etc", "SLUICE_TUNE_STATE="+h.root+"/state")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "net.core.somaxconn could not be set to") {
		t.Errorf("%v\n%s", err, out)
	}
	if got, _ := os.ReadFile(filepath.Join(h.root, "proc/sys/net/ipv4/tcp_fin_timeout")); string(got) != "15\n" {
		t.Errorf("tcp_fin_timeout is %q: the settings after a refused one were left out", got)
	}
}

func TestUnknownArgument(t *testing.T) {
	for _, args := range [][]string{{"tune.sh"}, {"tune.sh", "fast"}} {
		cmd := exec.Command("bash", args...)
		if err := cmd.Run(); cmd.ProcessState.ExitCode() != 2 {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestShellcheck(t *testing.T) {
	mustHaveScript(t)
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("shellcheck is not installed; CI has it")
	}
	if out, err := exec.Command("shellcheck", "tune.sh").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
