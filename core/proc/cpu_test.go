package proc

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const (
	mountV2        = "30 20 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountV1        = "31 20 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
	mountContainer = "31 20 0:28 /docker/abc /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n"
)

func fakeHost(t *testing.T, cpus []int, files map[string]string) Host {
	t.Helper()
	h := Host{Root: t.TempDir(), CPUs: cpus}
	for name, text := range files {
		path := filepath.Join(h.Root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestPlanCPUs(t *testing.T) {
	f := func(name string, workers int, pin bool, cpus []int, files map[string]string, want []int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			plan, err := PlanCPUs(workers, pin, fakeHost(t, cpus, files))
			if err != nil {
				t.Fatal(err)
			}
			var got []int
			for _, l := range plan.Loops {
				got = append(got, l.CPU)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("loops on %v, want %v (%s, quota %v)", got, want, plan.Why, plan.Quota)
			}
		})
	}
	four := []int{0, 1, 2, 3}
	v2 := func(path, file, text string) map[string]string {
		return map[string]string{"proc/self/mountinfo": mountV2, "proc/self/cgroup": "0::" + path + "\n", "sys/fs/cgroup" + file: text}
	}
	f("auto is the mask", 0, true, []int{5, 2, 9}, nil, []int{2, 5, 9})
	f("auto unpinned", 0, false, four, nil, []int{-1, -1, -1, -1})
	f("number below the mask", 2, true, four, nil, []int{0, 1})
	f("number above the mask goes round", 5, true, []int{4, 6}, nil, []int{4, 6, 4, 6, 4})
	f("v2 quota rounds up and does not pin", 0, true, four, v2("/a/b", "/a/b/cpu.max", "150000 100000\n"), []int{-1, -1})
	f("v2 limit of a parent counts", 0, true, four, v2("/a/b", "/a/cpu.max", "100000 100000\n"), []int{-1})
	f("v2 max is no limit", 0, true, four, v2("/a", "/a/cpu.max", "max 100000\n"), four)
	f("v2 quota above the mask is no limit", 0, true, four, v2("/", "/cpu.max", "900000 100000\n"), four)
	f("v2 quota below one processor is one loop", 0, true, four, v2("/", "/cpu.max", "10000 100000\n"), []int{-1})
	f("a number beats the quota", 3, true, four, v2("/", "/cpu.max", "100000 100000\n"), []int{0, 1, 2})
	f("v1 quota", 0, true, four, map[string]string{
		"proc/self/mountinfo": mountV1, "proc/self/cgroup": "4:cpu,cpuacct:/x\n3:memory:/y\n",
		"sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "200000\n", "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
	}, []int{-1, -1})
	f("v1 without limit", 0, true, four, map[string]string{
		"proc/self/mountinfo": mountV1, "proc/self/cgroup": "4:cpu,cpuacct:/\n",
		"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
	}, four)
	f("v1 in a container", 0, true, four, map[string]string{
		"proc/self/mountinfo": mountContainer, "proc/self/cgroup": "4:cpu:/docker/abc\n",
		"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
	}, []int{-1})
	f("a path outside the mount is its root", 0, true, four, map[string]string{
		"proc/self/mountinfo": mountV2, "proc/self/cgroup": "0::/../other\n", "sys/fs/cgroup/cpu.max": "100000 100000",
	}, []int{-1})
	f("garbage is no limit", 0, true, four, v2("/", "/cpu.max", "many"), four)
}

func TestPlanCPUsRefuses(t *testing.T) {
	for _, n := range []int{-1, MaxLoops + 1} {
		if _, err := PlanCPUs(n, true, Host{CPUs: []int{0}}); err == nil {
			t.Errorf("%d loops accepted", n)
		}
	}
	if _, err := PlanCPUs(0, true, Host{CPUs: []int{}}); err == nil {
		t.Error("an empty mask accepted")
	}
}

func TestPlanCPUsOfThisHost(t *testing.T) {
	plan, err := PlanCPUs(0, true, Host{})
	if err != nil || len(plan.Loops) == 0 {
		t.Fatalf("%+v, %v", plan, err)
	}
}
