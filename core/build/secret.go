package build

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/sluicegw/sluice/core/conf"
)

var errNoSecrets = errors.New("references to secrets are not resolved here")

// hasReference tells whether a configuration may hold a reference to a secret:
// a string that begins with '$'.
func hasReference(raw json.RawMessage) bool { return bytes.Contains(raw, []byte(`"$`)) }

func isReference(s string) bool {
	lower := strings.ToLower(s[:min(len(s), len("$secret://"))])
	return strings.HasPrefix(lower, "$env://") || lower == "$secret://"
}

// resolve replaces the references in a configuration by what they stand for.
func (b *Builder) resolve(raw json.RawMessage) (json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var doc any
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	doc, err := b.resolveValue(doc)
	if err != nil {
		return nil, err
	}
	return json.Marshal(doc)
}

func (b *Builder) resolveValue(v any) (any, error) {
	var err error
	switch x := v.(type) {
	case string:
		if !isReference(x) {
			return x, nil
		}
		if b.opt.Secrets == nil {
			return nil, wrap("reference", x, errNoSecrets)
		}
		s, err := b.opt.Secrets(x)
		return s, wrap("reference", x, err)
	case map[string]any:
		for name, one := range x {
			if x[name], err = b.resolveValue(one); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, one := range x {
			if x[i], err = b.resolveValue(one); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func (b *Builder) forgetSecrets(kind conf.Kind, id string) { delete(b.secretive, key{kind, id}) }

// RefreshSecrets resolves the references in credentials again. Call it when
// what they stand for may have changed: when their time in the resolver's cache
// is over.
func (b *Builder) RefreshSecrets() {
	for at, plugins := range b.secretive {
		own, err := b.readCredentials(at.kind, at.id, plugins)
		if err != nil {
			b.opt.Log.Error("credential keeps its former secret", "kind", at.kind.String(), "id", at.id, "error", err)
			continue
		}
		b.swapHeld(at, own)
	}
}

// swapHeld replaces the credentials of an object.
func (b *Builder) swapHeld(at key, own []held) {
	name, short := at.id, ""
	if at.kind == conf.KindCredential {
		name, short, _ = splitCredentialID(at.id)
	}
	k := b.consumers[name]
	if k == nil {
		return
	}
	place := &k.own
	if short != "" {
		for _, other := range k.others {
			if other.id == short {
				place = &other.held
			}
		}
	}
	old := *place
	*place = own
	if k.live != nil {
		b.replace(old, own, as(k.live, short))
	}
}
