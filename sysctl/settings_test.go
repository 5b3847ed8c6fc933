package sysctl

import (
	"slices"
	"testing"
)

func TestEverySettingIsWhole(t *testing.T) {
	kinds := []string{"sysctl", "sys", "irq", "limits", "systemd"}
	seen := map[string]bool{}
	for _, s := range Settings() {
		if !slices.Contains(kinds, s.Kind) || ruleWords[s.Rule] == "" {
			t.Errorf("%s: kind %q and rule %q: one of them is unknown", s.Key, s.Kind, s.Rule)
		}
		if s.Reason == "" || s.Source == "" || s.Values[0] == "" {
			t.Errorf("%s lacks a reason, a source or the value of profile edge", s.Key)
		}
		if seen[s.Key] {
			t.Errorf("%s is there twice", s.Key)
		}
		seen[s.Key] = true
	}
}

func TestMeets(t *testing.T) {
	f := func(rule, value, wanted string, want bool) {
		t.Helper()
		if got := Meets(rule, value, wanted); got != want {
			t.Errorf("Meets(%q, %q, %q) = %v", rule, value, wanted, got)
		}
	}
	f("min", "4096", "32768", false)
	f("min", "18446744073709551615", "2097152", true)
	f("min", "4096\t131072\t16777216", "4096 131072 16777216", true)
	f("min", "4096 131072 6291456", "4096 131072 16777216", false)
	f("min", "4096", "4096 1 1", false)
	f("max", "60", "15", false)
	f("max", "10", "15", true)
	f("eq", "2", "1", false)
	f("eq", "1", "1", true)
	f("eq", "always", "madvise", false)
	f("span", "32768 60999", "10240 65535", false)
	f("span", "1024 65535", "10240 65535", true)
	f("span", "1024 60999", "10240 65535", false)
}

func TestChosen(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := Chosen(text); got != want {
			t.Errorf("Chosen(%q) = %q", text, got)
		}
	}
	f("always [madvise] never\n", "madvise")
	f("performance\n", "performance")
	f("4096\t1\t2\n", "4096\t1\t2")
}

func TestProfile(t *testing.T) {
	if i, err := Profile("bench"); i != 1 || err != nil {
		t.Errorf("Profile(bench) = %d, %v", i, err)
	}
	if _, err := Profile("fast"); err == nil {
		t.Error("an unknown profile was found")
	}
}
