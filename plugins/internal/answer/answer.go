// Package answer holds what plugins that make or change responses have in
// common.
package answer

import (
	"bytes"
	"encoding/json"

	"github.com/sluicegw/sluice/core/h1"
)

// ErrorMsg is the body {"error_msg":text} as a line, the form of refusals that clients
// of APISIX know.
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

// bodyFields describe the body that the upstream sent.
const bodyFields = h1.IDSet(1<<h1.ContentLength | 1<<h1.ContentEncoding | 1<<h1.LastModified | 1<<h1.ETag)

// BodyChanges takes the fields out of a response that do not fit another body.
func BodyChanges(resp *h1.Response) { resp.DelSet(bodyFields) }
