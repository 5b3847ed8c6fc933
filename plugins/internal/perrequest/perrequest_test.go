package perrequest

import (
	"testing"

	"github.com/sluicegw/sluice/core/req"
)

func TestInstancesKeepTheirOwn(t *testing.T) {
	s := &Store[int]{Slot: func() int { return 5 }}
	var ctx req.Ctx
	a, b, c := new(string), new(string), new(string)
	*s.Take(&ctx, a) = 1
	*s.Take(&ctx, b) = 2
	*s.Take(&ctx, c) = 3
	if s.Take(&ctx, b) != s.Find(&ctx, b) || *s.Find(&ctx, a) != 1 || *s.Find(&ctx, b) != 2 || *s.Find(&ctx, c) != 3 {
		t.Error("values are mixed up")
	}
	zero := func(v *int) { *v = 0 }
	s.Drop(&ctx, b, zero)
	s.Drop(&ctx, b, zero)
	if s.Find(&ctx, b) != nil || *s.Find(&ctx, a) != 1 || *s.Find(&ctx, c) != 3 {
		t.Error("dropping one touched another")
	}
	s.Drop(&ctx, c, zero)
	s.Drop(&ctx, a, zero)
	if ctx.Slot(5) != nil || s.Find(&ctx, a) != nil {
		t.Error("something is left")
	}
}
