// Package answer writes bodies of refusals in the form that APISIX's clients
// know.
package answer

import (
	"bytes"
	"encoding/json"
)

// ErrorMsg is the body {"error_msg":text} as a line.
func ErrorMsg(text string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(struct {
		Text string `json:"error_msg"`
	}{text}); err != nil {
		panic("BUG: " + err.Error())
	}
	return b.Bytes()
}
