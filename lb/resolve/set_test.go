package resolve

import (
	"testing"
	"time"
)

func text(s *Set, host string) string {
	out := ""
	for _, a := range s.Lookup(host) {
		out += a.String() + " "
	}
	return out
}

func TestASetKnowsANameAtOnceAndTellsChanges(t *testing.T) {
	z := startZone(t, "a.test. 1 A 10.0.0.1")
	r := startResolver(t, Options{Servers: []string{z.addr}, Valid: 5 * time.Millisecond})
	changed := make(chan string, 100)
	s := NewSet(r, 10*time.Second, func(host string) { changed <- host })
	if got := text(s, "A.test"); got != "10.0.0.1 " {
		t.Fatalf("the first lookup got %q", got)
	}
	z.set(t, "a.test. 1 A 10.0.0.2")
	if got := next(t, changed); got != "a.test" {
		t.Fatalf("told of %q", got)
	}
	if got := text(s, "a.test"); got != "10.0.0.2 " {
		t.Errorf("then %q", got)
	}
	if got := text(s, "nowhere.test"); got != "" {
		t.Errorf("a name that does not exist is at %q", got)
	}
	if s.Len() != 2 {
		t.Errorf("%d names, want 2", s.Len())
	}
	s.Retain([]string{"A.TEST"})
	if s.Len() != 1 || len(r.names) != 1 {
		t.Errorf("%d names, %d subscriptions, want 1", s.Len(), len(r.names))
	}
	select {
	case host := <-changed:
		t.Errorf("told of %q although the lookup returned it", host)
	default:
	}
}

func TestALateAnswerIsTold(t *testing.T) {
	z := startZone(t, "a.test. 60 A 10.0.0.1")
	z.change(func() { z.mute = true })
	r := startResolver(t, Options{Servers: []string{z.addr}, Timeout: 50 * time.Millisecond, MaxRetry: 10 * time.Millisecond})
	changed := make(chan string, 100)
	s := NewSet(r, time.Millisecond, func(host string) { changed <- host })
	if got := text(s, "a.test"); got != "" {
		t.Fatalf("got %q from a silent server", got)
	}
	z.change(func() { z.mute = false })
	if got := next(t, changed); got != "a.test" {
		t.Fatalf("told of %q", got)
	}
	if got := text(s, "a.test"); got != "10.0.0.1 " {
		t.Errorf("then %q", got)
	}
}
