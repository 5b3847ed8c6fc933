// Package req is one request on its way through the gateway: the context that
// every stage shares and the run-time types that configuration compiles into.
package req

import (
	"math/bits"
	"net/netip"
	"unsafe"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/loop"
	"github.com/sluicegw/sluice/lb/node"
)

// Ctx is one request. It is pooled per loop and reset between requests; what
// it hands out is valid until the request ends.
type Ctx struct {
	// Req is the client's head. Edits to its fields reach the upstream.
	Req h1.Request
	// Resp is the head that the client gets: the upstream's once it arrived,
	// or the one that the gateway or a plugin makes.
	Resp h1.Response

	// Extra are fields that the client gets whoever makes the response: what
	// plugins set before there is a head. See SetRespHeader.
	Extra h1.Header

	// Path is the normalised path that routes match on: percent-decoded, dot
	// segments resolved, slashes merged. Query is the raw text behind '?'.
	Path, Query []byte
	// Host is the requested host in lower case without port; Port is the port
	// written with it, 0 when none was.
	Host []byte
	Port uint16

	Peer   netip.AddrPort // the connection's other end
	Local  netip.AddrPort // the address that the client connected to
	Client netip.Addr     // whom the request is attributed to: Peer's address unless a trusted proxy says otherwise
	TLS    bool
	// ClientPort belongs to Client where a proxy told it, 0: the connection's.
	ClientPort uint16

	Snap     *Snapshot
	Route    *Route
	Eff      *Effective
	Consumer *Consumer
	// Upstream serves the request: Eff's, unless a plugin chose another before
	// the relay starts.
	Upstream *Upstream

	// UpstreamURI and UpstreamHost replace the target and Host that the
	// upstream sees; empty means the client's own.
	UpstreamURI  []byte
	UpstreamHost []byte

	// Upgrade says that the client asked to switch protocols and the route
	// allows it.
	Upgrade bool

	// Body is the whole request body when BodyState is BodyBuffered.
	Body []byte
	// MaxBody bounds the request body where a plugin set a limit of its own, in
	// bytes; 0: the settings' limit.
	MaxBody   int64
	BodyState BodyState
	// Tap, when set, sees a streamed body on its way to the upstream.
	Tap BodyTap

	// Tries are the attempts at upstream nodes so far, the last one running.
	Tries []Try
	Tried []*node.Node // their nodes, for the picker

	// BodyError is what was wrong with the request body, nil when nothing was.
	BodyError *h1.Error

	// HashKey is what the upstream's policy hashes, made once per request.
	HashKey []byte

	// Start is the loop's clock when the head was complete, Wall the unix time
	// in nanoseconds that belongs to it.
	Start, Wall int64
	// BytesIn and BytesOut count what was read from and written to the client
	// for this request, heads included.
	BytesIn, BytesOut int64
	// Status is what the client got, 0 before the head was sent; 499 when the
	// client left first.
	Status int
	Source Source
	// ConnRequests counts the requests of this connection, this one included.
	ConnRequests uint32
	// ConnID numbers the connection within the process.
	ConnID uint64

	Stream Stream      // the client's side
	Inner  InnerServer // serves requests that this one brings along
	Parent *Ctx        // the request that brought this one along, nil for those of clients
	Task   *loop.Task  // the coroutine that runs the request
	Loop   *loop.Loop

	// Chunk is the piece of the response body that body_filter works on; a
	// step may put another in its place, valid until the phase ends. ChunkLast
	// says that it is the last one; a step that sets it ends the response.
	Chunk     []byte
	ChunkLast bool
	// ChunkBad is set by a step that cannot make the body out of what it got:
	// the response is broken off, or becomes a 502 when nothing was sent yet.
	ChunkBad bool

	// Watch is the loop's word to the stall watchdog; nil in tests.
	Watch *Watch

	// Stage names where the request is, for the stall watchdog and for panics.
	Stage string

	// Scratch is free for use within one call; whoever grows it stores it back.
	// Reading a variable uses it.
	Scratch []byte
	// RewriteBuf and ValueBuf are the same for plugins that read variables
	// while they build something.
	RewriteBuf, ValueBuf []byte

	// slots hold per-request state of plugins; used has the bits of those that
	// are set.
	slots [MaxSlots]any
	used  uint64
	// bodySlots has the bits of the plugins that asked for their body filter.
	bodySlots uint64

	params   Params
	exitBody []byte
	exitType string
}

// MaxSlots is how many plugins may keep per-request state.
const MaxSlots = 64

// Slot returns what a plugin kept for this request, nil when it kept nothing.
// The slot is the plugin's own (chain.Plugin.Slot).
func (c *Ctx) Slot(i int) any { return c.slots[i] }

// SetSlot keeps v for this request. To allocate nothing, v is a pointer that
// outlives the request.
func (c *Ctx) SetSlot(i int, v any) {
	c.slots[i] = v
	c.used |= 1 << i
}

// Ender is what a plugin kept for a request and wants to hear of its end,
// however it ends: behind the log phase, or in its place after a panic.
type Ender interface{ End(c *Ctx) }

// BodyState tells what is known of the request body.
type BodyState uint8

const (
	// BodyNone: the request has no body.
	BodyNone BodyState = iota
	// BodyBuffered: Ctx.Body holds all of it; it can be sent again.
	BodyBuffered
	// BodyStreaming: it is read piece by piece with Stream.ReadBody.
	BodyStreaming
)

// Framing says how a response body is delimited on its way to the client.
type Framing uint8

const (
	// FrameNone: no body follows the head.
	FrameNone Framing = iota
	// FrameLength: Ctx.Resp.ContentLength bytes follow.
	FrameLength
	// FrameChunked: the length is unknown; the stream frames the pieces.
	FrameChunked
	// FrameRaw: the pieces are chunked coding already, checked by the sender.
	// Only for streams whose RawChunks is true.
	FrameRaw
)

// Stream is the client's side of one request, HTTP/1.x or HTTP/2. Its methods
// park the task that calls them.
type Stream interface {
	// ReadBody returns the next piece of the request body, valid until the
	// next call, and io.EOF after the last.
	ReadBody(t *loop.Task) ([]byte, error)
	// TakeBody moves the body into Ctx.Body when all of it has arrived already
	// and is no longer than max; else it changes nothing. It fails when the
	// framing is malformed.
	TakeBody(max int) error
	// Trailer holds the fields behind a chunked request body once ReadBody gave
	// io.EOF.
	Trailer() *h1.Header
	// Continue sends 100 (Continue) when the client waits for it.
	Continue(t *loop.Task) error
	// RawChunks tells whether SendHead takes FrameRaw.
	RawChunks() bool
	// SendHead sends the head in Ctx.Resp and the first piece of the body, b,
	// which may be nil. last says that nothing follows. The stream takes b
	// over.
	SendHead(t *loop.Task, f Framing, b *loop.Buf, last bool) error
	// SendBody sends a further piece and takes b over; nil with last set ends
	// the body.
	SendBody(t *loop.Task, b *loop.Buf, last bool) error
	// Abort breaks the response visibly: a client must not take what it got
	// for the whole.
	Abort()
	// Gone tells whether the client has left.
	Gone() bool
	// WatchGone makes the client's leaving wake t; nil ends that.
	WatchGone(t *loop.Task)
	// CancelRead ends a ReadBody that another task of this request is parked
	// in; it returns loop.ErrCanceled.
	CancelRead()
	// Hijack gives up HTTP on the connection after a 101 was sent: the caller
	// moves bytes both ways from here on. unread holds what arrived behind
	// the request. It fails for streams that share their connection.
	Hijack() (c Duplex, unread *loop.Buf, err error)
}

// Duplex is a connection that bytes are moved on in both directions. It is
// implemented by loop.Conn and by what puts TLS on it.
type Duplex interface {
	TryRecv(b *loop.Buf) (int, error)
	WaitRead(t *loop.Task, deadline int64) error
	Send(t *loop.Task, p []byte, silence int64) error
	CloseWrite()
	Close()
	Reset()
}

var _ Duplex = (*loop.Conn)(nil)

// Source tells who made a response: the values of the metric label
// response_source.
type Source uint8

const (
	// FromGateway: made here ("apisix").
	FromGateway Source = iota
	// FromProxy: proxying failed before a response head came ("nginx").
	FromProxy
	// FromUpstream: the upstream's own.
	FromUpstream
)

// Try records one attempt at an upstream node. Times are nanoseconds of the
// loop's coarse clock.
type Try struct {
	Node    *node.Node
	Status  int   // the upstream's status, or 502/504 when no head arrived
	Start   int64 // clock
	Connect int64 // from Start; 0 on a pooled connection, -1 when it failed
	Header  int64 // from Start to the response head, -1 when none came
	Total   int64 // from Start to the end
	Bytes   int64 // received from the node
}

// SetClient attributes the request to another address. port may be 0.
func (c *Ctx) SetClient(addr netip.Addr, port uint16) { c.Client, c.ClientPort = addr, port }

// SetRespHeader sets a field of the response to come, whether the upstream, the
// gateway or another plugin makes it. From header_filter on, edit Resp.
func (c *Ctx) SetRespHeader(name string, value []byte) { c.Extra.Set(name, value) }

// MergeExtra moves the fields of Extra into Resp.
func (c *Ctx) MergeExtra() {
	for i := range c.Extra.Len() {
		if n := c.Extra.Name(i); n != nil {
			c.Resp.Set(unsafe.String(unsafe.SliceData(n), len(n)), c.Extra.Value(i))
		}
	}
}

// Exit makes the request end with an answer of the gateway's own: status and
// a body that must stay valid until it was sent (a constant or memory of the
// plugin's compiled configuration). Fields set on Resp before or after are
// kept. It returns the verdict that the step then returns.
func (c *Ctx) Exit(status int, body []byte, contentType string) Verdict {
	c.Resp.StatusCode = status
	c.exitBody, c.exitType = body, contentType
	return Exit
}

// ExitBody is the answer that Exit set.
func (c *Ctx) ExitBody() (body []byte, contentType string) { return c.exitBody, c.exitType }

// Reset makes the context ready for the next request, keeping its buffers.
func (c *Ctx) Reset() {
	c.Req.Reset()
	c.Resp.Reset()
	c.Extra.Reset()
	c.params.Reset()
	c.Upgrade, c.MaxBody, c.ClientPort = false, 0, 0
	c.Path, c.Query, c.Host, c.Port = nil, nil, c.Host[:0], 0
	c.Snap, c.Route, c.Eff, c.Consumer, c.Upstream = nil, nil, nil, nil, nil
	c.UpstreamURI, c.UpstreamHost = c.UpstreamURI[:0], c.UpstreamHost[:0]
	if cap(c.Body) > keepBody {
		c.Body = nil
	}
	c.Body, c.BodyState, c.BodyError, c.Tap = c.Body[:0], BodyNone, nil, nil
	clear(c.Tries)
	clear(c.Tried)
	c.Tries, c.Tried = c.Tries[:0], c.Tried[:0]
	c.BytesIn, c.BytesOut, c.Status, c.Source = 0, 0, 0, FromGateway
	for u := c.used; u != 0; u &= u - 1 {
		i := bits.TrailingZeros64(u)
		if e, ok := c.slots[i].(Ender); ok {
			e.End(c)
		}
		c.slots[i] = nil
	}
	c.used, c.bodySlots = 0, 0
	c.exitBody, c.exitType = nil, ""
	c.Parent = nil
	c.Stage = ""
	c.Chunk, c.ChunkLast, c.ChunkBad = nil, false, false
}
