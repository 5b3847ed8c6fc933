package ring

import "testing"

func TestProbe(t *testing.T) {
	f, err := Probe()
	if err != nil {
		t.Skip(err)
	}
	t.Logf("%+v", f)
}
