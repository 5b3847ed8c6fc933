package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegw/sluice/sysctl"
)

// process is the directory below /proc of the gateway, or of this program when
// none runs; who says which.
func (d *doctor) process() (dir, who string) {
	if g := d.o.Gateway; g != nil && g.PID > 0 {
		return strconv.Itoa(g.PID), fmt.Sprintf("of the gateway's process %d", g.PID)
	}
	return "self", "of this shell"
}

// openFiles checks the limit that the gateway has, or would get here.
func (d *doctor) openFiles(wanted string) {
	dir, who := d.process()
	c := Check{
		Name: "open-file limit " + who, Wanted: "at least " + wanted, Why: "Every client connection and every connection to an upstream is an open file; at the limit new ones are refused.",
		Fix: "LimitNOFILE=" + wanted + " in the service, ulimit -n " + wanted + " in a shell, or sysctl/tune.sh apply " + sysctl.Profiles[d.o.Profile],
	}
	got := d.proc(dir + "/limits")
	if got.missing() {
		return
	}
	if got.err != nil {
		d.unread(c, got.err)
		return
	}
	for line := range strings.Lines(got.text) {
		rest, ok := strings.CutPrefix(line, "Max open files")
		if f := strings.Fields(rest); ok && len(f) > 0 {
			c.Value = f[0]
			d.add(f[0] == "unlimited" || sysctl.Meets("min", f[0], wanted), c)
		}
	}
}

// quota checks whether the control group bounds the CPU time.
func (d *doctor) quota() {
	dir, who := d.process()
	c := Check{
		Name: "CPU quota " + who, Wanted: "none, and never throttled",
		Why: "A process that has used its quota stops until the period ends, up to 100 ms: all its requests wait.",
		Fix: "raise or remove the limit (systemd CPUQuota, docker --cpus, Kubernetes limits.cpu)",
	}
	got := d.proc(dir + "/cgroup")
	if got.missing() {
		return
	}
	if got.err != nil {
		d.unread(c, got.err)
		return
	}
	limit, stat, ok := d.cpuGroup(got.text)
	if !ok {
		return
	}
	throttled := "0"
	for line := range strings.Lines(stat) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "nr_throttled" {
			throttled = f[1]
		}
	}
	c.Value = limit + ", throttled " + throttled + " times"
	d.add(limit == "none" && throttled == "0", c)
}

// cpuGroup reads the limit and the statistics of the group that a process is
// in, from its /proc/PID/cgroup, of either version of the kernel's interface.
// Inside a container the path may be one of the host's: then the group is what
// is mounted at the top.
func (d *doctor) cpuGroup(groups string) (limit, stat string, ok bool) {
	for line := range strings.Lines(groups) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		for _, path := range []string{f[2], "/"} {
			if f[1] == "" {
				base := "fs/cgroup" + path
				if got := d.sys(base + "/cpu.max"); got.err == nil {
					return quotaWords(strings.Fields(got.text)), d.sys(base + "/cpu.stat").text, true
				}
			} else if slices.Contains(strings.Split(f[1], ","), "cpu") {
				base := "fs/cgroup/cpu" + path
				if got := d.sys(base + "/cpu.cfs_quota_us"); got.err == nil {
					period := d.sys(base + "/cpu.cfs_period_us").text
					return quotaWords([]string{got.text, period}), d.sys(base + "/cpu.stat").text, true
				}
			}
		}
	}
	return "", "", false
}

// quotaWords says quota and period, both in microseconds, as a number of CPUs.
func quotaWords(f []string) string {
	if len(f) != 2 || f[0] == "max" || f[0] == "-1" {
		return "none"
	}
	quota, errQ := strconv.ParseFloat(f[0], 64)
	period, errP := strconv.ParseFloat(f[1], 64)
	if errQ != nil || errP != nil || period <= 0 {
		return "none"
	}
	return fmt.Sprintf("%.3g CPUs", quota/period)
}

// affinity checks on which CPUs the process may run.
func (d *doctor) affinity() {
	dir, who := d.process()
	c := Check{
		Name: "affinity " + who, Wanted: fmt.Sprintf("all %d CPUs, or those that are meant", d.cpus),
		Why: "The gateway runs one loop per CPU that it may use; a narrow mask that was inherited makes it small.",
		Fix: "start it without taskset or CPUAffinity; in a container see --cpuset-cpus",
	}
	got := d.proc(dir + "/status")
	if got.missing() || d.cpus == 0 {
		return
	}
	if got.err != nil {
		d.unread(c, got.err)
		return
	}
	for line := range strings.Lines(got.text) {
		if rest, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			list := strings.TrimSpace(rest)
			c.Value = "CPUs " + list
			d.add(countList(list) >= d.cpus, c)
		}
	}
}

// slowClocks need a system call or a device access to be read.
var slowClocks = []string{"hpet", "acpi_pm", "pit", "jiffies", "refined-jiffies", "xen"}

func (d *doctor) clock() {
	c := Check{
		Name: "clock source", Wanted: "one that programs read without a system call: tsc, kvm-clock, arch_sys_counter",
		Why: "The time is read at each turn of a loop; a slow clock costs up to a microsecond each.",
		Fix: "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource where available_clocksource has it; else see why the kernel refused it: dmesg | grep -i tsc",
	}
	got := d.sys("devices/system/clocksource/clocksource0/current_clocksource")
	switch {
	case got.missing():
	case got.err != nil:
		d.unread(c, got.err)
	default:
		c.Value = got.text
		d.add(!slices.Contains(slowClocks, got.text), c)
	}
}

// source checks the gateway's configuration source.
func (d *doctor) source() {
	g := d.o.Gateway
	if g == nil || g.Source == "" {
		return
	}
	c := Check{
		Name: g.Source, Wanted: "reachable, in sync",
		Why: "Changes reach the gateway through it; without it the last configuration is served on.",
		Fix: "see gw status, and the gateway's log",
	}
	lag := time.Duration(g.LagSeconds * float64(time.Second)).Round(time.Millisecond)
	switch {
	case !g.Reachable:
		c.Value = "not reachable"
	case !g.Synced:
		c.Value = "reachable, not in sync"
	default:
		c.Value = "in sync"
	}
	c.Value += ", lag " + lag.String()
	if g.LastError != "" && !g.Reachable {
		c.Value += ": " + g.LastError
	}
	if len(g.Unreachable) > 0 {
		c.Value += ", endpoints that do not answer: " + strings.Join(g.Unreachable, " ")
	}
	d.add(g.Reachable && g.Synced && len(g.Unreachable) == 0 && lag < time.Second, c)
}
