package coding

import (
	"io"
	"sync"

	"github.com/sluicegw/sluice/core/req"
)

// Writer is a compressor.
type Writer interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// Encoder makes compressors of one kind and level and uses them again: they
// hold from some 100 KiB to some MiB each.
type Encoder struct {
	// New makes a compressor.
	New func(io.Writer) Writer
	// Cost is about how many nanoseconds a KiB takes.
	Cost int64

	pool sync.Pool
}

// Body is a response body on its way through a compressor. The zero value is
// at its beginning.
type Body struct {
	out output
	w   Writer
}

type output struct{ b []byte }

func (o *output) Write(p []byte) (int, error) {
	o.b = append(o.b, p...)
	return len(p), nil
}

// inline is how long compressing a piece may hold up the loop, in nanoseconds;
// what takes longer is done in the background meanwhile.
const inline = 300_000

// Piece compresses the piece in ctx.Chunk and puts the outcome in its place.
// Each piece leaves at once: the client of a stream waits for it.
func (e *Encoder) Piece(ctx *req.Ctx, b *Body) {
	in, last := ctx.Chunk, ctx.ChunkLast
	if len(in) == 0 && !last {
		return
	}
	if b.w == nil {
		b.w, _ = e.pool.Get().(Writer)
		if b.w == nil {
			b.w = e.New(&b.out)
		} else {
			b.w.Reset(&b.out)
		}
	}
	b.out.b = b.out.b[:0]
	if int64(len(in))*e.Cost/1024 <= inline || ctx.Task == nil || ctx.Task.Await(func() { b.compress(in, last) }) != nil {
		b.compress(in, last)
	}
	ctx.Chunk = b.out.b
}

// compress cannot fail: the output takes everything.
func (b *Body) compress(in []byte, last bool) {
	_, _ = b.w.Write(in)
	if last {
		_ = b.w.Close()
	} else {
		_ = b.w.Flush()
	}
}

// maxOut is how much output memory is kept for another response.
const maxOut = 128 << 10

// Done gives the compressor back.
func (e *Encoder) Done(b *Body) {
	if b.w != nil {
		b.w.Reset(io.Discard)
		e.pool.Put(b.w)
		b.w = nil
	}
	if cap(b.out.b) > maxOut {
		b.out.b = nil
	}
}
