package batchrequests

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluicegw/sluice/core/conf/schema"
)

// batch is what a client sends.
type batch struct {
	Query    map[string]any `json:"query"`
	Headers  map[string]any `json:"headers"`
	Timeout  int64          `json:"timeout"` // milliseconds, of each request
	Pipeline []item         `json:"pipeline"`
}

// item is one request.
type item struct {
	Version float64        `json:"version"`
	Method  string         `json:"method"`
	Path    string         `json:"path"`
	Query   map[string]any `json:"query"`
	Headers map[string]any `json:"headers"`
	Body    string         `json:"body"`
}

var batchSchema = schema.Lazy([]byte(`{
	"type": "object",
	"properties": {
		"query": {"type": "object"},
		"headers": {"type": "object"},
		"timeout": {"type": "integer", "minimum": 1, "maximum": 3600000, "default": 30000},
		"pipeline": {
			"type": "array", "minItems": 1,
			"items": {
				"type": "object", "additionalProperties": false, "required": ["path"],
				"properties": {
					"version": {"type": "number", "enum": [1.0, 1.1], "default": 1.1},
					"method": {"type": "string", "default": "GET",
						"enum": ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"]},
					"path": {"type": "string", "minLength": 1},
					"query": {"type": "object"},
					"headers": {"type": "object"},
					"body": {"type": "string"},
					"ssl_verify": {"type": "boolean", "default": false}
				}
			}
		}
	},
	"required": ["pipeline"]
}`))

// maxShown is how much of a body that is no JSON an answer repeats.
const maxShown = 1 << 10

func parse(body []byte) (*batch, error) {
	var doc any
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("invalid request body: %s, err: %w", body[:min(len(body), maxShown)], err)
	}
	s, err := batchSchema()
	if err != nil {
		panic("BUG: " + err.Error())
	}
	doc, err = s.Judge(doc)
	if err != nil {
		return nil, fmt.Errorf("bad request body: %w", err)
	}
	// The checked document, with its defaults, in the form that is worked with.
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	all := &batch{}
	if err := json.Unmarshal(text, all); err != nil {
		return nil, fmt.Errorf("bad request body: %w", err)
	}
	all.Headers = lowered(all.Headers)
	for i := range all.Pipeline {
		all.Pipeline[i].Headers = lowered(all.Pipeline[i].Headers)
	}
	return all, nil
}

func lowered(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for name, v := range m {
		out[strings.ToLower(name)] = v
	}
	return out
}
