package vars

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// How much of a body a variable may make the gateway hold in memory. A longer
// body leaves the variable unset.
const (
	maxFormBody    = 64 << 20
	maxGraphQLBody = 1 << 20
)

// NeedsBody reports whether reading the variable may have to wait for the
// request body, for which the request must run on a task.
func (v *Var) NeedsBody() bool {
	switch v.id {
	case postArg, postPath, graphqlName, graphqlOperation, graphqlRootFields:
		return true
	}
	return false
}

// body returns the whole request body. When it has not arrived yet the request
// waits for it; the body is then kept in ctx.Body for the upstream.
func body(ctx *req.Ctx, limit int) ([]byte, bool) {
	switch ctx.BodyState {
	case req.BodyNone:
		return nil, false
	case req.BodyBuffered:
		return ctx.Body, len(ctx.Body) <= limit
	}
	if ctx.Req.ContentLength > int64(limit) || ctx.Stream == nil {
		return nil, false
	}
	if err := ctx.Stream.TakeBody(limit); err != nil {
		return nil, false
	}
	if ctx.BodyState == req.BodyBuffered {
		return ctx.Body, true
	}
	if ctx.Task == nil || ctx.Stream.Continue(ctx.Task) != nil {
		return nil, false
	}
	ctx.Body = ctx.Body[:0]
	for {
		piece, err := ctx.Stream.ReadBody(ctx.Task)
		ctx.Body = append(ctx.Body, piece...)
		switch {
		case err == io.EOF:
			ctx.BodyState = req.BodyBuffered
			return ctx.Body, true
		case err != nil:
			return nil, false
		case len(ctx.Body) > limit:
			// What was read cannot be put back, so the request cannot go on.
			ctx.Stream.Abort()
			return nil, false
		}
	}
}

type mediaType uint8

const (
	otherMedia mediaType = iota
	formMedia
	jsonMedia
	multipartMedia
)

var (
	formType      = []byte("application/x-www-form-urlencoded")
	jsonType      = []byte("application/json")
	multipartType = []byte("multipart/form-data")
)

func mediaOf(ctx *req.Ctx) mediaType {
	v := ctx.Req.GetID(h1.ContentType)
	switch {
	case len(v) == 0:
		return otherMedia
	case bytes.HasPrefix(v, formType):
		return formMedia
	case bytes.HasPrefix(v, jsonType):
		return jsonMedia
	case bytes.HasPrefix(v, multipartType):
		return multipartMedia
	}
	return otherMedia
}

// postForm reads a field of an urlencoded form.
func postForm(ctx *req.Ctx, key string, buf []byte) (Kind, []byte, []byte) {
	if mediaOf(ctx) != formMedia {
		return Unset, nil, buf
	}
	b, ok := body(ctx, maxFormBody)
	if !ok {
		return Unset, nil, buf
	}
	return formValue(b, key, buf)
}

// postValue reads a value of a JSON, multipart or urlencoded body.
func postValue(ctx *req.Ctx, p *jsonPath, buf []byte) (Kind, []byte, []byte) {
	media := mediaOf(ctx)
	if media == otherMedia || media != jsonMedia && (p.query || len(p.steps) != 1) {
		return Unset, nil, buf
	}
	b, ok := body(ctx, maxFormBody)
	if !ok {
		return Unset, nil, buf
	}
	switch media {
	case jsonMedia:
		if !json.Valid(b) {
			return Unset, nil, buf
		}
		return p.load(b, buf)
	case formMedia:
		return formValue(b, p.steps[0].name, buf)
	}
	return multipartValue(b, ctx.Req.GetID(h1.ContentType), p.steps[0].name, buf)
}

// multipartValue returns the content of the first part called name.
func multipartValue(b, contentType []byte, name string, buf []byte) (Kind, []byte, []byte) {
	boundary := parameter(contentType, "boundary")
	if len(boundary) == 0 || len(boundary) > 70 {
		return Unset, nil, buf
	}
	var room [72]byte
	delimiter := append(append(room[:0], "--"...), boundary...)
	at := bytes.Index(b, delimiter)
	for at >= 0 {
		part := b[at+len(delimiter):]
		if bytes.HasPrefix(part, []byte("--")) {
			break
		}
		end := bytes.Index(part, delimiter)
		if end < 0 {
			break // not terminated
		}
		at += len(delimiter) + end
		head, content, ok := bytes.Cut(part[:end], []byte("\r\n\r\n"))
		if ok && string(partName(head)) == name {
			return String, bytes.TrimSuffix(content, []byte("\r\n")), buf
		}
	}
	return Unset, nil, buf
}

// partName is the name that a part's Content-Disposition gives.
func partName(head []byte) []byte {
	for len(head) > 0 {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		field, value, ok := bytes.Cut(line, []byte{':'})
		if ok && equalFold(field, "content-disposition") {
			return parameter(value, "name")
		}
	}
	return nil
}

// parameter returns a parameter of a field value such as
// `form-data; name="a"`, without quotes.
func parameter(value []byte, name string) []byte {
	for {
		_, rest, ok := bytes.Cut(value, semicolon)
		if !ok {
			return nil
		}
		value = trimSpace(rest)
		if len(value) <= len(name) || value[len(name)] != '=' || !equalFold(value[:len(name)], name) {
			continue
		}
		v := value[len(name)+1:]
		if len(v) > 0 && v[0] == '"' {
			if end := bytes.IndexByte(v[1:], '"'); end >= 0 {
				return v[1 : 1+end]
			}
			return nil
		}
		if end := bytes.IndexByte(v, ';'); end >= 0 {
			v = v[:end]
		}
		return trimSpace(v)
	}
}
