package doctor

import (
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicegw/sluice/sysctl"
)

// each calls f for every network card that has hardware behind it.
func (d *doctor) each(f func(name, dir string)) {
	dirs, _ := filepath.Glob(filepath.Join(d.o.Sys, "class/net/*"))
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "device")); err == nil {
			f(filepath.Base(dir), dir)
		}
	}
}

func queues(dir, kind string) []string {
	list, _ := filepath.Glob(filepath.Join(dir, "queues", kind+"-*"))
	return list
}

// receiveQueues checks that a card with fewer queues than CPUs has its packets
// spread by the kernel.
func (d *doctor) receiveQueues(s *sysctl.Setting) {
	d.each(func(name, dir string) {
		rx := queues(dir, "rx")
		if d.cpus > 1 && len(rx) < d.cpus {
			d.masks(s, name, rx, "rps_cpus", func(n int) bool { return n == d.cpus }, fmt.Sprintf("%d CPUs each", d.cpus))
		}
	})
}

// sendQueues checks that several transmit queues are spread over the CPUs.
func (d *doctor) sendQueues(s *sysctl.Setting) {
	d.each(func(name, dir string) {
		if tx := queues(dir, "tx"); d.cpus > 1 && len(tx) > 1 {
			d.masks(s, name, tx, "xps_cpus", func(n int) bool { return n > 0 && n < d.cpus }, "some CPUs each, not all")
		}
	})
}

func (d *doctor) masks(s *sysctl.Setting, card string, dirs []string, file string, good func(cpus int) bool, wanted string) {
	c := Check{Name: card + " " + file, Wanted: wanted, Why: s.Reason, Fix: "sysctl/tune.sh apply " + sysctl.Profiles[d.o.Profile]}
	var values []string
	all := true
	for _, dir := range dirs {
		got := read(filepath.Join(dir, file))
		if got.missing() { // also when the card's driver has no such thing
			return
		}
		if got.err != nil {
			d.unread(c, got.err)
			return
		}
		values = append(values, got.text)
		all = all && good(countMask(got.text))
	}
	c.Value = "masks " + strings.Join(values, " ")
	d.add(all, c)
}

// interrupts checks that not one CPU gets the interrupts of all queues.
func (d *doctor) interrupts(s *sysctl.Setting) {
	d.each(func(name, dir string) {
		c := Check{
			Name: name + " interrupts", Wanted: "spread over the CPUs", Why: s.Reason,
			Fix: "sysctl/tune.sh apply " + sysctl.Profiles[d.o.Profile] + ", or run irqbalance",
		}
		var irqs []string
		for _, pattern := range []string{"/device/msi_irqs/*", "/device/../msi_irqs/*"} {
			// Not filepath.Join: it would take device/.. away, which follows a link.
			found, _ := filepath.Glob(dir + pattern)
			for _, path := range found {
				irqs = append(irqs, filepath.Base(path))
			}
		}
		lists := map[string]bool{}
		for _, irq := range irqs {
			got := d.proc("irq/" + irq + "/smp_affinity_list")
			if got.missing() {
				continue
			}
			if got.err != nil {
				d.unread(c, got.err)
				return
			}
			lists[got.text] = true
		}
		if len(lists) == 0 || len(irqs) < 2 || d.cpus < 2 {
			return
		}
		one := ""
		for list := range lists {
			one = list
		}
		c.Value = fmt.Sprintf("%d interrupts, CPUs %s", len(irqs), joined(lists))
		d.add(len(lists) > 1 || countList(one) > 1, c)
	})
}

// cards says how many queues each card has.
func (d *doctor) cards() {
	d.each(func(name, dir string) {
		rx, tx := len(queues(dir, "rx")), len(queues(dir, "tx"))
		if rx == 0 {
			return
		}
		spread := rx >= d.cpus
		for _, q := range queues(dir, "rx") {
			spread = spread || countMask(read(filepath.Join(q, "rps_cpus")).text) > 1
		}
		d.add(spread, Check{
			Name: name + " queues", Value: fmt.Sprintf("%d receive, %d transmit", rx, tx),
			Wanted: fmt.Sprintf("a receive queue for each of %d CPUs, or packets spread by the kernel", d.cpus),
			Why:    "A receive queue's packets are handled by one CPU: with fewer queues than CPUs that one is the limit.",
			Fix:    fmt.Sprintf("ethtool -L %s combined %d where the card can; else sysctl/tune.sh apply %s", name, d.cpus, sysctl.Profiles[d.o.Profile]),
		})
	})
}

func joined(set map[string]bool) string {
	var all []string
	for s := range set {
		all = append(all, s)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// countMask counts the CPUs of a mask such as "3,ffffffff"; 0 for what is none.
func countMask(mask string) int {
	n := 0
	for part := range strings.SplitSeq(mask, ",") {
		word, err := strconv.ParseUint(part, 16, 32)
		if err != nil {
			return 0
		}
		n += bits.OnesCount64(word)
	}
	return n
}

// countList counts the CPUs of a list such as "0-3,8"; 0 for what is none.
func countList(list string) int {
	n := 0
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, errA := strconv.Atoi(from)
		b, errB := strconv.Atoi(to)
		if errA != nil || errB != nil || b < a {
			return 0
		}
		n += b - a + 1
	}
	return n
}
