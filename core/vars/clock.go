package vars

import (
	"strconv"
	"time"

	"github.com/sluicegw/sluice/core/req"
)

// elapsed is the time since the head was complete, by the loop's clock.
func elapsed(ctx *req.Ctx) int64 {
	if ctx.Loop == nil {
		return 0
	}
	return max(0, ctx.Loop.Now()-ctx.Start)
}

func clockValue(ctx *req.Ctx, v id, buf []byte) (Kind, []byte, []byte) {
	spent := elapsed(ctx)
	out := buf
	switch now := ctx.Wall + spent; v {
	case requestTime:
		out = appendSeconds(out, spent)
	case msec:
		out = appendSeconds(out, now)
	case timeLocal:
		out = time.Unix(0, now).AppendFormat(out, "02/Jan/2006:15:04:05 -0700")
	default:
		out = time.Unix(0, now).AppendFormat(out, "2006-01-02T15:04:05-07:00")
	}
	return String, out[len(buf):], out
}

// appendSeconds writes nanoseconds as seconds with three digits, cut off and
// not rounded.
func appendSeconds(dst []byte, ns int64) []byte {
	if ns < 0 {
		ns = 0
	}
	ms := ns / 1e6
	dst = strconv.AppendInt(dst, ms/1000, 10)
	ms %= 1000
	return append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}
