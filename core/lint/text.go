package lint

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteText writes findings for a reader, one a line, and a summary.
func WriteText(out io.Writer, list []Finding) error {
	w := tabwriter.NewWriter(out, 2, 0, 2, ' ', 0)
	var counts [len(severities)]int
	for i := range list {
		f := &list[i]
		counts[f.Severity]++
		at := f.Object
		if f.Field != "" {
			at += " " + f.Field
		}
		if f.Line > 0 {
			at += fmt.Sprintf(" (line %d)", f.Line)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", f.Severity, f.Rule, at, f.Text)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d errors, %d warnings, %d hints\n", counts[Error], counts[Warning], counts[Hint])
	return err
}

// Sentence is a finding as one sentence, for the header of an answer.
func (f *Finding) Sentence() string {
	if f.Field == "" {
		return fmt.Sprintf("%s: %s: %s", f.Rule, f.Object, f.Text)
	}
	return fmt.Sprintf("%s: %s %s: %s", f.Rule, f.Object, f.Field, f.Text)
}
