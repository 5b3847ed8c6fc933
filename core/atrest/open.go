package atrest

import (
	"bytes"
	"encoding/json"

	"github.com/sluicegw/sluice/core/conf"
)

// Open returns an object as read from the store with every encrypted field
// plain: what is validated and served. An object without such fields, the
// usual case, is returned as it is, and so is one that is not JSON; a value
// that changes is a new one.
func (k *Keyring) Open(o conf.Object) conf.Object {
	if k == nil || o.Deleted() || !mayHoldSecrets(&o) {
		return o
	}
	dec := json.NewDecoder(bytes.NewReader(o.Value))
	dec.UseNumber()
	var value map[string]any
	if dec.Decode(&value) != nil || value == nil || dec.More() {
		return o
	}
	k.DecryptObject(o.Kind, o.ID, value)
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		panic("BUG: a decoded value cannot be encoded: " + err.Error())
	}
	o.Value = bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})
	return o
}

func mayHoldSecrets(o *conf.Object) bool {
	switch o.Kind {
	case conf.KindSSL:
		return true
	case conf.KindPluginMetadata:
		return len(fields[o.ID][Metadata]) > 0
	case conf.KindProto, conf.KindSecret:
		return false
	}
	return namesSecrets(o.Value)
}

// namesSecrets looks through the quoted texts of a JSON value for the name of
// a plugin with secret fields or of a private key. A first load does this for
// every object, so nothing is decoded. Escaped quotes only shift the pieces;
// a name is still found between two plain ones.
func namesSecrets(value []byte) bool {
	for {
		start := bytes.IndexByte(value, '"')
		if start < 0 {
			return false
		}
		value = value[start+1:]
		end := bytes.IndexByte(value, '"')
		if end < 0 {
			return false
		}
		if word := value[:end]; len(word) <= maxName {
			if _, ok := fields[string(word)]; ok || string(word) == "client_key" {
				return true
			}
		}
		// The closing quote may as well open a name, after an escaped quote.
		value = value[end:]
	}
}

// maxName is the length of the longest name looked for.
var maxName = func() int {
	longest := len("client_key")
	for name := range fields {
		longest = max(longest, len(name))
	}
	return longest
}()
