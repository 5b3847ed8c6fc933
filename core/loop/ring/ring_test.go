package ring

import "testing"

func TestAvailable(t *testing.T) {
	if err := Available(); err != nil {
		t.Fatal(err)
	}
	t.Log("receives keep to a length:", Capped())
}
