package main

import "testing"

func TestResolveSecret(t *testing.T) {
	t.Setenv("GW_TEST_PLAIN", "value")
	t.Setenv("GW_TEST_JSON", `{"a":"x","n":7}`)
	f := func(reference, want string, ok bool) {
		t.Helper()
		got, err := resolveSecret(reference)
		if (err == nil) != ok || got != want {
			t.Errorf("%s: %q, %v", reference, got, err)
		}
	}
	f("$env://GW_TEST_PLAIN", "value", true)
	f("$ENV://GW_TEST_PLAIN", "value", true)
	f("$env://GW_TEST_JSON/a", "x", true)
	f("$env://GW_TEST_JSON/n", "7", true)
	f("$env://GW_TEST_JSON/none", "", false)
	f("$env://GW_TEST_PLAIN/a", "", false)
	f("$env://GW_TEST_MISSING", "", false)
	f("$secret://vault/1/a/b", "", false)
	f("$env", "", false)
	f("", "", false)
}
