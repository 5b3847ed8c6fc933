package chain

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync/atomic"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// TextPlain is the content type of the answers that plugins make, JSON ones
// included: clients of APISIX know them so.
const TextPlain = "text/plain; charset=utf-8"

// Message is the body {"message":text} as a line.
func Message(text string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(struct {
		Message string `json:"message"`
	}{text}); err != nil {
		panic("BUG: " + err.Error())
	}
	return b.Bytes()
}

// Auth is what plugins that authenticate have in common: whom to let pass
// without credentials, and how to ask for them.
type Auth struct {
	challenge []byte
	anonymous string
	env       *Env
	missed    atomic.Bool
}

// NewAuth makes the common part of an instance. scheme and realm make the
// challenge of a refusal; anonymous names the consumer that requests without
// good credentials become, empty when they are refused. env may be nil while
// configuration is only checked.
func NewAuth(env *Env, scheme, realm, anonymous string) *Auth {
	return &Auth{challenge: []byte(scheme + ` realm="` + realm + `"`), anonymous: anonymous, env: env}
}

var badAnonymous = Message("Invalid user authorization")

// Fail ends a request whose credentials are missing or wrong with 401 and body,
// or lets it pass as the anonymous consumer.
func (a *Auth) Fail(ctx *req.Ctx, body []byte) req.Verdict {
	if a.anonymous == "" {
		return a.refuse(ctx, body)
	}
	k := a.env.Consumers.Find(a.anonymous)
	if k == nil {
		if a.missed.CompareAndSwap(false, true) {
			a.env.Log.Error("anonymous consumer does not exist: requests without credentials are refused",
				"object", a.env.Owner, "consumer", a.anonymous)
		}
		return a.refuse(ctx, badAnonymous)
	}
	ctx.SetConsumer(k)
	return req.Continue
}

func (a *Auth) refuse(ctx *req.Ctx, body []byte) req.Verdict {
	ctx.SetRespHeader("WWW-Authenticate", a.challenge)
	return ctx.Exit(401, body, TextPlain)
}

// Field finds a request's header field by its configured name.
type Field struct {
	id   h1.ID
	name string // lower case
}

// NewField resolves a name in any case.
func NewField(name string) Field {
	f := Field{name: strings.ToLower(name)}
	if id := h1.Lookup([]byte(f.name)); id != h1.Other && id.String() != "" {
		f.id = id
	}
	return f
}

// Get returns the first field's value, nil when there is none.
func (f *Field) Get(h *h1.Header) []byte {
	if f.id != h1.Other {
		return h.GetID(f.id)
	}
	return h.Get(f.name)
}

// Del removes the fields.
func (f *Field) Del(h *h1.Header) {
	if f.id != h1.Other {
		h.DelID(f.id)
		return
	}
	h.Del(f.name)
}
