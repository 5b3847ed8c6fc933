package admin

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/valyala/fasthttp"
)

const contentJSON = "application/json"

// failure is an answer that ends a request; it travels as an error.
type failure struct {
	status int
	// body is marshalled as JSON; a string is sent as it is.
	body any
}

func (f *failure) Error() string { return fmt.Sprintf("%d: %v", f.status, f.body) }

// errorBody is the usual shape of a refusal.
type errorBody struct {
	Msg string `json:"error_msg"`
}

func refuse(status int, format string, args ...any) *failure {
	return &failure{status: status, body: errorBody{fmt.Sprintf(format, args...)}}
}

func invalid(format string, args ...any) *failure {
	return refuse(fasthttp.StatusBadRequest, format, args...)
}

func notFound() *failure {
	return &failure{status: fasthttp.StatusNotFound, body: map[string]string{"message": "Key not found"}}
}

// encode marshals without escaping <, > and &, which belong to expressions
// and patterns that people read back.
func encode(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		// Everything answered was decoded from JSON or is a plain struct.
		panic(fmt.Sprintf("BUG: answer cannot be encoded: %v", err))
	}
	return buf.Bytes()
}

// compact is encode without the newline at the end, for storing.
func compact(v any) []byte {
	return bytes.TrimSuffix(encode(v), []byte{'\n'})
}

// answer writes a JSON answer; JSON ends in a newline, plain strings do not,
// as APISIX sends them.
func answer(ctx *fasthttp.RequestCtx, status int, body any) {
	ctx.SetStatusCode(status)
	switch b := body.(type) {
	case nil:
	case string:
		ctx.SetBodyString(b)
	case []byte:
		ctx.SetBody(b)
	case json.RawMessage:
		ctx.SetBody(b)
		ctx.Response.AppendBodyString("\n")
	default:
		ctx.SetBody(encode(b))
	}
}

func setCORS(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "*")
	h.Set("Access-Control-Max-Age", "3600")
}

func answerPreflight(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "POST, GET, PUT, OPTIONS, DELETE, PATCH")
	h.Set("Access-Control-Max-Age", "3600")
	h.Set("Access-Control-Allow-Headers", "*")
	h.Set("Access-Control-Allow-Credentials", "true")
	ctx.SetContentType("text/plain")
	ctx.SetStatusCode(fasthttp.StatusOK)
}
