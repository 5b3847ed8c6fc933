package doctor

import (
	"fmt"
	"io"
)

// WriteText writes the checks for people: a line each, and for what is not as
// wanted the reason and what to do.
func WriteText(w io.Writer, checks []Check) error {
	count := map[State]int{}
	for _, c := range checks {
		count[c.State]++
		text := fmt.Sprintf("%-7s  %s: %s", c.State, c.Name, c.Value)
		if c.State == OK {
			text += "\n"
		} else {
			text += fmt.Sprintf("\n         wanted: %s\n         why: %s\n", c.Wanted, c.Why)
			if c.Fix != "" {
				text += "         fix: " + c.Fix + "\n"
			}
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d as wanted, %d not, %d could not be read\n", count[OK], count[Bad], count[Unknown])
	return err
}
