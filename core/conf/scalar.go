package conf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// ID is a resource id. In JSON it is a string or an integer >= 1; here it is
// always text, so that 1 and "1" name the same resource.
type ID string

// UnmarshalJSON accepts a string, an integer or null.
func (id *ID) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*id = ID(s)
		return nil
	}
	if bytes.Equal(b, []byte("null")) {
		*id = ""
		return nil
	}
	n, err := strconv.ParseFloat(string(b), 64)
	if err != nil || n != math.Trunc(n) || math.Abs(n) > 1<<53 {
		return fmt.Errorf("an id is a string or an integer, not %s", b)
	}
	*id = ID(strconv.FormatInt(int64(n), 10))
	return nil
}

// Seconds is a duration as APISIX writes it: a number of seconds, fractions
// allowed.
type Seconds float64

// Nanoseconds converts; values beyond what int64 holds become its limits.
func (s Seconds) Nanoseconds() int64 {
	ns := float64(s) * 1e9
	switch {
	case ns != ns:
		return 0
	case ns >= math.MaxInt64:
		return math.MaxInt64
	case ns <= math.MinInt64:
		return math.MinInt64
	}
	return int64(math.Round(ns))
}

// Duration is Nanoseconds as a time.Duration.
func (s Seconds) Duration() time.Duration { return time.Duration(s.Nanoseconds()) }

// Meta holds the fields that every resource may carry.
type Meta struct {
	ID         ID                `json:"id,omitempty"`
	Name       string            `json:"name,omitempty"`
	Desc       string            `json:"desc,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	CreateTime int64             `json:"create_time,omitempty"` // unix seconds
	UpdateTime int64             `json:"update_time,omitempty"` // unix seconds
}

// Timeout holds the three time limits towards an upstream. In a checked object
// all three are > 0.
type Timeout struct {
	Connect Seconds `json:"connect"`
	Send    Seconds `json:"send"`
	Read    Seconds `json:"read"`
}

// Plugins maps a plugin's name to its configuration as JSON text, defaults
// filled in. The common part is read by ParsePluginMeta.
type Plugins map[string]json.RawMessage
