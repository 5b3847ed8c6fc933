// Package sysctl holds the host's settings that a gateway is fast with: the
// table that tune.sh applies and gw doctor checks.
package sysctl

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

//go:embed settings.txt
var table string

// Profiles are the names of the profiles, the default first.
var Profiles = []string{"edge", "bench", "container"}

// Setting is one line of settings.txt.
type Setting struct {
	// Kind is where the setting lives: sysctl, sys, irq, limits or systemd.
	Kind string
	// Key is a sysctl's name, a pattern below /sys or a file below /etc.
	Key string
	// Values are those of the profiles, in the order of Profiles; empty where
	// the profile leaves the setting alone.
	Values [3]string
	// Rule is how a value is compared: min, max, eq, span, rps, xps, spread.
	Rule string
	// Reason and Source say why, and where that is described.
	Reason, Source string
}

// Settings is the table in its order.
func Settings() []Setting {
	var all []Setting
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "|")
		if len(f) != 8 {
			panic("BUG: settings.txt: not 8 fields: " + line)
		}
		s := Setting{Kind: f[0], Key: f[1], Rule: f[5], Reason: f[6], Source: f[7]}
		for i, v := range f[2:5] {
			if v != "-" {
				s.Values[i] = v
			}
		}
		all = append(all, s)
	}
	return all
}

// Profile is the index of a profile in Setting.Values.
func Profile(name string) (int, error) {
	i := slices.Index(Profiles, name)
	if i < 0 {
		return 0, fmt.Errorf("%q is no profile: there are %s", name, strings.Join(Profiles, ", "))
	}
	return i, nil
}

// Meets tells whether a value that the kernel printed is as good as wanted by
// a rule; rps, xps and spread are not for it and compare for equality.
func Meets(rule, value, wanted string) bool {
	have, want := strings.Fields(value), strings.Fields(wanted)
	if len(have) != len(want) {
		return false
	}
	for i := range want {
		order, ok := compare(have[i], want[i])
		switch {
		case !ok:
			if have[i] != want[i] {
				return false
			}
		case rule == "min" && order < 0, rule == "max" && order > 0,
			rule == "span" && i == 0 && order > 0, rule == "span" && i == 1 && order < 0:
			return false
		case rule != "min" && rule != "max" && rule != "span" && order != 0:
			return false
		}
	}
	return true
}

// compare orders whole numbers; ok is false when one of them is none.
func compare(a, b string) (order int, ok bool) {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	if errX != nil || errY != nil {
		return 0, false
	}
	switch {
	case x < y:
		return -1, true
	case x > y:
		return 1, true
	}
	return 0, true
}

// Chosen is the word that is in force of a choice as the kernel prints it:
// "always [madvise] never" gives madvise. Other values it returns trimmed.
func Chosen(text string) string {
	if _, rest, ok := strings.Cut(text, "["); ok {
		if word, _, ok := strings.Cut(rest, "]"); ok {
			return word
		}
	}
	return strings.TrimSpace(text)
}
