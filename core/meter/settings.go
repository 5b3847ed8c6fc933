package meter

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluicegw/sluice/core/vars"
)

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// Parse reads plugin_attr.prometheus.metrics into o: extra_labels, a list of
// objects {label: "$variable"}, and expire in seconds, by family. Families of
// traffic that is not counted here are left alone.
func (o *Options) Parse(raw json.RawMessage) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var by map[string]struct {
		Extra  []map[string]string `json:"extra_labels"`
		Expire float64             `json:"expire"`
	}
	if err := json.Unmarshal(raw, &by); err != nil {
		return fmt.Errorf("plugin_attr.prometheus.metrics: %w", err)
	}
	for f, name := range familyNames {
		m := by[name]
		o.Expire[f] = time.Duration(m.Expire * float64(time.Second))
		for _, one := range m.Extra {
			for label, value := range one {
				if !labelName.MatchString(label) || label == "le" || label == "type" || slices.Contains(labelNames[f], label) {
					return fmt.Errorf("plugin_attr.prometheus.metrics.%s.extra_labels: %q is no label name or is taken", name, label)
				}
				if !strings.HasPrefix(value, "$") {
					value = "$" + value
				}
				o.Extra[f] = append(o.Extra[f], Extra{label, vars.CompileTemplate(value)})
			}
		}
	}
	return nil
}
