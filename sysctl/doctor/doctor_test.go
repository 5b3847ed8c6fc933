package doctor

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicegw/sluice/sysctl"
)

// host is a copy of the kernel's files.
type host struct {
	t    *testing.T
	root string
}

func newHost(t *testing.T, files map[string]string) *host {
	t.Helper()
	h := &host{t, t.TempDir()}
	h.set("sys/devices/system/cpu/online", "0-3")
	for path, text := range files {
		h.set(path, text)
	}
	return h
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

func (h *host) run(profile string, g *Gateway) []Check {
	h.t.Helper()
	i, err := sysctl.Profile(profile)
	if err != nil {
		h.t.Fatal(err)
	}
	return Run(Options{Proc: h.root + "/proc", Sys: h.root + "/sys", Profile: i, Gateway: g})
}

func find(checks []Check, name string) *Check {
	for i := range checks {
		if checks[i].Name == name {
			return &checks[i]
		}
	}
	return nil
}

func TestChecks(t *testing.T) {
	netstat := "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 7 0\nIpExt: InNoRoutes\nIpExt: 0"
	f := func(path, text, name string, state State, value string) {
		t.Helper()
		got := find(newHost(t, map[string]string{path: text}).run("edge", nil), name)
		if got == nil {
			t.Errorf("%s of %q: no check %q", path, text, name)
			return
		}
		if got.State != state || got.Value != value {
			t.Errorf("%s of %q: %s is %s: %q, not %s: %q", path, text, name, got.State, got.Value, state, value)
		}
		if got.Why == "" || got.Wanted == "" || (got.State == Bad) != (got.Fix != "") {
			t.Errorf("%s: reason, wish or advice is not as it should be: %+v", name, got)
		}
	}
	f("proc/sys/net/core/somaxconn", "4096", "net.core.somaxconn", Bad, "4096")
	f("proc/sys/net/core/somaxconn", "65535", "net.core.somaxconn", OK, "65535")
	f("proc/sys/net/ipv4/tcp_tw_recycle", "1", "net.ipv4.tcp_tw_recycle", Bad, "1")
	f("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999", "net.ipv4.ip_local_port_range", Bad, "32768 60999")
	f("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never", "kernel/mm/transparent_hugepage/enabled", Bad, "always")
	f("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never", "kernel/mm/transparent_hugepage/enabled", OK, "madvise")
	f("sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "powersave", "devices/system/cpu/cpu3/cpufreq/scaling_governor", Bad, "powersave")
	f("proc/self/limits", "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files",
		"open-file limit of this shell", Bad, "1024")
	f("proc/self/limits", "Max open files            1048576              1048576              files", "open-file limit of this shell", OK, "1048576")
	f("proc/net/netstat", netstat, "ListenOverflows", Bad, "7")
	f("proc/net/netstat", netstat, "ListenDrops", OK, "0")
	f("proc/net/softnet_stat", "00000001 00000000 0\n00000001 0000000a 0", "packets dropped before the stack", Bad, "10")
	f("proc/net/tcp", "sl local rem st tx:rx\n0: 00000000:2378 00000000:0000 0A 00000000:00000900 00:00000000",
		"accept queues in use", Bad, "2304 wait at port 9080, the most of 1 listening sockets")
	f("proc/net/tcp", "0: 00000000:2378 0100007F:1000 01 00000000:00000900", "accept queues in use", OK, "none waits at 0 listening sockets")
	f("proc/self/status", "Name:\tgw\nCpus_allowed_list:\t1", "affinity of this shell", Bad, "CPUs 1")
	f("proc/self/status", "Cpus_allowed_list:\t0-3", "affinity of this shell", OK, "CPUs 0-3")
	f("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet", "clock source", Bad, "hpet")
	f("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc", "clock source", OK, "tsc")
}

func TestQuota(t *testing.T) {
	f := func(group, path, limit, stat string, state State, value string) {
		t.Helper()
		h := newHost(t, map[string]string{"proc/self/cgroup": group, path: limit, filepath.Dir(path) + "/cpu.stat": stat,
			"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"})
		got := find(h.run("edge", nil), "CPU quota of this shell")
		if got == nil || got.State != state || got.Value != value {
			t.Errorf("%s, %s: %+v", group, limit, got)
		}
	}
	f("0::/a", "sys/fs/cgroup/a/cpu.max", "max 100000", "nr_throttled 0", OK, "none, throttled 0 times")
	f("0::/a", "sys/fs/cgroup/a/cpu.max", "150000 100000", "nr_throttled 0", Bad, "1.5 CPUs, throttled 0 times")
	f("0::/of/the/host", "sys/fs/cgroup/cpu.max", "200000 100000", "nr_periods 9\nnr_throttled 3", Bad, "2 CPUs, throttled 3 times")
	f("2:cpu,cpuacct:/\n0::/", "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1", "nr_throttled 0", OK, "none, throttled 0 times")
	f("2:cpu:/", "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000", "nr_throttled 0", Bad, "0.5 CPUs, throttled 0 times")
}

func TestConntrack(t *testing.T) {
	f := func(count string, state State) {
		t.Helper()
		h := newHost(t, map[string]string{"proc/sys/net/netfilter/nf_conntrack_count": count, "proc/sys/net/netfilter/nf_conntrack_max": "1000"})
		if got := find(h.run("edge", nil), "conntrack"); got == nil || got.State != state {
			t.Errorf("%s of 1000: %+v", count, got)
		}
	}
	f("10", OK)
	f("900", Bad)
}

func TestCards(t *testing.T) {
	card := map[string]string{
		"sys/class/net/lo/queues/rx-0/rps_cpus":   "0",
		"sys/class/net/eth0/device/msi_irqs/37":   "msix",
		"sys/class/net/eth0/device/msi_irqs/38":   "msix",
		"sys/class/net/eth0/queues/rx-0/rps_cpus": "0",
		"sys/class/net/eth0/queues/tx-0/xps_cpus": "5",
		"sys/class/net/eth0/queues/tx-1/xps_cpus": "a",
		"proc/irq/37/smp_affinity_list":           "0",
		"proc/irq/38/smp_affinity_list":           "0",
	}
	h := newHost(t, card)
	f := func(name string, state State) {
		t.Helper()
		if got := find(h.run("edge", nil), name); got == nil || got.State != state {
			t.Errorf("%s is not %s: %+v", name, state, got)
		}
	}
	f("eth0 rps_cpus", Bad)
	f("eth0 xps_cpus", OK)
	f("eth0 interrupts", Bad)
	f("eth0 queues", Bad)
	h.set("sys/class/net/eth0/queues/rx-0/rps_cpus", "0000000f")
	h.set("sys/class/net/eth0/queues/tx-0/xps_cpus", "0")
	h.set("proc/irq/38/smp_affinity_list", "1")
	f("eth0 rps_cpus", OK)
	f("eth0 xps_cpus", Bad)
	f("eth0 interrupts", OK)
	f("eth0 queues", OK)
	if got := find(h.run("edge", nil), "lo queues"); got != nil {
		t.Errorf("a device without hardware is checked: %+v", got)
	}
}

func TestSource(t *testing.T) {
	f := func(g Gateway, state State, value string) {
		t.Helper()
		g.Source = "etcd"
		got := find(newHost(t, nil).run("edge", &g), "etcd")
		if got == nil || got.State != state || got.Value != value {
			t.Errorf("%+v: %+v", g, got)
		}
	}
	f(Gateway{Reachable: true, Synced: true}, OK, "in sync, lag 0s")
	f(Gateway{Reachable: true, Synced: true, LagSeconds: 3}, Bad, "in sync, lag 3s")
	f(Gateway{LastError: "refused"}, Bad, "not reachable, lag 0s: refused")
	f(Gateway{Reachable: true, Synced: true, Unreachable: []string{"http://b:2379"}}, Bad,
		"in sync, lag 0s, endpoints that do not answer: http://b:2379")
}

// The gateway's own process is looked at when one runs.
func TestProcessOfTheGateway(t *testing.T) {
	h := newHost(t, map[string]string{"proc/42/limits": "Max open files 2000000 2000000 files"})
	if got := find(h.run("edge", &Gateway{PID: 42}), "open-file limit of the gateway's process 42"); got == nil || got.State != OK {
		t.Errorf("%+v", got)
	}
}

// What cannot be read is said, and the other checks go on.
func TestUnreadable(t *testing.T) {
	h := newHost(t, map[string]string{"proc/sys/net/core/somaxconn/is-a-directory": "", "proc/sys/fs/nr_open": "1048576"})
	checks := h.run("edge", nil)
	if got := find(checks, "net.core.somaxconn"); got == nil || got.State != Unknown || !strings.HasPrefix(got.Value, "could not be read: ") {
		t.Errorf("%+v", got)
	}
	if got := find(checks, "fs.nr_open"); got == nil || got.State != OK {
		t.Errorf("%+v", got)
	}
	d := new(doctor)
	d.unread(Check{Name: "x"}, fs.ErrPermission)
	if d.found[0].Fix != "run gw doctor as root to see it" {
		t.Errorf("%+v", d.found[0])
	}
}

func TestContainerLeavesTheHostAlone(t *testing.T) {
	h := newHost(t, map[string]string{"proc/sys/fs/file-max": "1", "proc/sys/net/core/somaxconn": "1"})
	checks := h.run("container", nil)
	if find(checks, "fs.file-max") != nil || find(checks, "net.core.somaxconn") == nil {
		t.Errorf("%+v", checks)
	}
}

func TestTheHostItself(t *testing.T) {
	checks := Run(Options{})
	if find(checks, "net.core.somaxconn") == nil || find(checks, "open-file limit of this shell") == nil {
		t.Errorf("%+v", checks)
	}
}

func TestWriteText(t *testing.T) {
	var b bytes.Buffer
	err := WriteText(&b, []Check{
		{Name: "a", State: OK, Value: "1", Why: "w"},
		{Name: "b", State: Bad, Value: "2", Wanted: "3", Why: "because", Fix: "do"},
	})
	want := `ok       a: 1
bad      b: 2
         wanted: 3
         why: because
         fix: do
1 as wanted, 1 not, 0 could not be read
`
	if err != nil || b.String() != want {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestCPUSets(t *testing.T) {
	f := func(got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%d CPUs, not %d", got, want)
		}
	}
	f(countMask("3"), 2)
	f(countMask("b,ffffffff"), 35)
	f(countMask("x"), 0)
	f(countList("0-3,8"), 5)
	f(countList(""), 0)
	f(countList("3-1"), 0)
}
