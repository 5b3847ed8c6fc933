package proc

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// MaxLoops bounds nginx_config.worker_processes.
const MaxLoops = 1024

// Host is where the processors that may be used are read from. The zero value
// is this process's own host; tests point it at made-up files.
type Host struct {
	// Root is put before the paths below /proc and /sys, default "".
	Root string
	// CPUs is the affinity mask; nil asks the kernel.
	CPUs []int
}

// CPUPlan is how many loops run and where.
type CPUPlan struct {
	Loops []LoopPlan
	// Allowed is the affinity mask, ascending.
	Allowed []int
	// Quota is the cgroup's share in processors, 0 when there is no limit.
	Quota float64
	// Why is a phrase for the log: what decided the number.
	Why string
}

// PlanCPUs decides the number of loops and the processor of each. workers is
// nginx_config.worker_processes: 0 stands for "auto", which is one loop per
// processor of the affinity mask, or fewer when a cgroup quota allows less.
// With pin false no loop is bound to a processor.
//
// Loops that a quota made fewer than the processors are not pinned: the quota
// does not say which processors are ours, and several containers of one host
// would all choose the first ones.
func PlanCPUs(workers int, pin bool, host Host) (CPUPlan, error) {
	var plan CPUPlan
	if workers < 0 || workers > MaxLoops {
		return plan, fmt.Errorf("nginx_config.worker_processes: %d is not between 1 and %d", workers, MaxLoops)
	}
	allowed := host.CPUs
	if allowed == nil {
		var err error
		if allowed, err = affinityMask(); err != nil {
			return plan, err
		}
	}
	if len(allowed) == 0 {
		return plan, fmt.Errorf("the affinity mask of this process is empty")
	}
	plan.Allowed = slices.Sorted(slices.Values(allowed))
	plan.Quota = host.quota()
	n := workers
	switch {
	case n > 0:
		plan.Why = "worker_processes"
	case plan.Quota > 0 && int(math.Ceil(plan.Quota)) < len(plan.Allowed):
		n = int(math.Ceil(plan.Quota))
		pin = false
		plan.Why = "cgroup cpu quota"
	default:
		n = min(len(plan.Allowed), MaxLoops)
		plan.Why = "affinity mask"
	}
	plan.Loops = make([]LoopPlan, n)
	for i := range plan.Loops {
		plan.Loops[i].CPU = -1
		if pin {
			plan.Loops[i].CPU = plan.Allowed[i%len(plan.Allowed)]
		}
	}
	return plan, nil
}

func affinityMask() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	var cpus []int
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// quota is the smallest CPU limit on the way from this process's cgroup up to
// the root, in processors; 0 when there is none or it cannot be read.
func (h Host) quota() float64 {
	raw, err := os.ReadFile(h.Root + "/proc/self/cgroup")
	if err != nil {
		return 0
	}
	mounts := h.cgroupMounts()
	least := 0.0
	for line := range strings.Lines(string(raw)) {
		// "hierarchy:controllers:path"; version 2 has no controllers.
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		v2 := parts[0] == "0" && parts[1] == ""
		if !v2 && !slices.Contains(strings.Split(parts[1], ","), "cpu") {
			continue
		}
		for _, m := range mounts {
			if m.v2 != v2 {
				continue
			}
			if q := m.limit(h.Root, parts[2]); q > 0 && (least == 0 || q < least) {
				least = q
			}
		}
	}
	return least
}

type cgroupMount struct {
	point string // where it is mounted
	root  string // which part of the hierarchy is mounted there
	v2    bool
}

// cgroupMounts reads the mounts of the unified hierarchy and of version 1's
// cpu controller.
func (h Host) cgroupMounts() []cgroupMount {
	raw, err := os.ReadFile(h.Root + "/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var mounts []cgroupMount
	for line := range strings.Lines(string(raw)) {
		// id parent major:minor root point options [optional...] - type source super
		left, right, ok := strings.Cut(strings.TrimSpace(line), " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 6 || len(g) < 3 {
			continue
		}
		switch {
		case g[0] == "cgroup2":
			mounts = append(mounts, cgroupMount{point: f[4], root: f[3], v2: true})
		case g[0] == "cgroup" && slices.Contains(strings.Split(g[2], ","), "cpu"):
			mounts = append(mounts, cgroupMount{point: f[4], root: f[3]})
		}
	}
	return mounts
}

// limit walks from the process's group to the top of the mount.
func (m cgroupMount) limit(hostRoot, path string) float64 {
	rel := path
	if m.root != "/" {
		// In a container the mount shows a part of the tree only; a path
		// outside it means that the part is our own group.
		var inside bool
		if rel, inside = strings.CutPrefix(path, m.root); !inside {
			rel = "/"
		}
	}
	if strings.HasPrefix(rel, "/..") {
		rel = "/"
	}
	least := 0.0
	for dir := filepath.Clean("/" + rel); ; dir = filepath.Dir(dir) {
		at := hostRoot + filepath.Join(m.point, dir)
		q := 0.0
		if m.v2 {
			q = quotaV2(at)
		} else {
			q = quotaV1(at)
		}
		if q > 0 && (least == 0 || q < least) {
			least = q
		}
		if dir == "/" {
			return least
		}
	}
}

func quotaV2(dir string) float64 {
	f := strings.Fields(readLine(dir + "/cpu.max")) // "200000 100000" or "max 100000"
	if len(f) != 2 {
		return 0
	}
	return ratio(f[0], f[1])
}

func quotaV1(dir string) float64 {
	return ratio(readLine(dir+"/cpu.cfs_quota_us"), readLine(dir+"/cpu.cfs_period_us"))
}

func ratio(quota, period string) float64 {
	q, err1 := strconv.ParseFloat(quota, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if err1 != nil || err2 != nil || q <= 0 || p <= 0 {
		return 0
	}
	return q / p
}

func readLine(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}
