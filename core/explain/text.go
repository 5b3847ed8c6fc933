package explain

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteText writes the report for a reader.
func (r *Report) WriteText(out io.Writer) error {
	w := tabwriter.NewWriter(out, 2, 0, 2, ' ', 0)
	q := &r.Request
	host := q.Host
	if q.Port != 0 {
		host += fmt.Sprintf(":%d", q.Port)
	}
	query := ""
	if q.Query != "" {
		query = "?" + q.Query
	}
	fmt.Fprintf(w, "request\t%s %s://%s%s%s from %s\n", q.Method, q.Scheme, host, q.Path, query, q.Client)
	if r.Refused == nil {
		fmt.Fprintf(w, "revision\t%d\n", r.Revision)
	}
	writeCandidates(w, "candidates, in the order in which they are tried", r.Candidates)
	if r.MoreCandidates > 0 {
		fmt.Fprintf(w, "  and %d more\n", r.MoreCandidates)
	}
	writeCandidates(w, "the route asked about", r.Asked)
	if route := r.Route; route != nil {
		writeRoute(w, route)
	}
	writePlugins(w, "plugins of the global rules", r.Global)
	writePlugins(w, "plugins of the route", r.Plugins)
	if u := r.Upstream; u != nil {
		writeUpstream(w, u)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "\nnote: %s", n)
	}
	if len(r.Notes) > 0 {
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "\n=> %s\n", r.Outcome)
	return w.Flush()
}

func writeCandidates(w io.Writer, title string, list []Candidate) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	passed := false
	for i := range list {
		c := &list[i]
		verdict := "fits, but an earlier one serves"
		switch {
		case c.Chosen:
			verdict, passed = "SERVES", true
		case c.Failed != "":
			verdict = "no: " + c.Failed
			if c.Detail != "" {
				verdict += " " + c.Detail
			}
			if passed {
				verdict += " (not asked)"
			}
		case !passed:
			verdict = "fits"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\tpriority %d\t%s\n", named(c.Route, c.Name), cmp.Or(c.Host, "any host"), cmp.Or(c.URI, "-"), c.Priority, verdict)
	}
}

func named(id, name string) string {
	if name == "" || name == id {
		return "route " + id
	}
	return fmt.Sprintf("route %s %q", id, name)
}

func writeRoute(w io.Writer, r *Route) {
	fmt.Fprintf(w, "\nroute\t%s, matched %s%s\n", strings.TrimPrefix(named(r.ID, r.Name), "route "), r.MatchedHost, r.MatchedURI)
	for _, ref := range []struct{ what, id string }{
		{"service", r.Service}, {"plugin config", r.PluginConfig}, {"consumer", r.Consumer}, {"consumer group", r.Group},
	} {
		if ref.id != "" {
			fmt.Fprintf(w, "  %s\t%s\n", ref.what, ref.id)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Params)) {
		fmt.Fprintf(w, "  %s\t= %s\n", name, r.Params[name])
	}
	for _, m := range r.Missing {
		fmt.Fprintf(w, "  missing\t%s\n", m)
	}
}

func writePlugins(w io.Writer, title string, list []Plugin) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for i := range list {
		p := &list[i]
		from := "from " + p.Origin
		if len(p.Covers) > 0 {
			from += ", takes the place of that in " + strings.Join(p.Covers, ", ")
		}
		if p.StandsBack {
			from += "; the route's own runs instead"
		}
		fmt.Fprintf(w, "  %s\t%d\t%s\t%s\n", p.Name, p.Priority, strings.Join(p.Phases, " "), from)
	}
}

func writeUpstream(w io.Writer, u *Upstream) {
	fmt.Fprintf(w, "\nupstream\t%s, %s, %s\n", u.Object, u.Scheme, u.Policy)
	if u.HashKey != "" {
		fmt.Fprintf(w, "  hash key\t%s\n", u.HashKey)
	}
	fmt.Fprintf(w, "  Host\t%s\n", u.Host)
	fmt.Fprintf(w, "  limits\tconnect %gs, send %gs, read %gs, %d retries\n", u.Connect, u.Send, u.Read, u.Retries)
	for i := range u.Nodes {
		n := &u.Nodes[i]
		mark := "  "
		if n.Picked {
			mark = "->"
		}
		address := n.Address
		if n.Host != "" {
			address = fmt.Sprintf("%s (%s)", n.Address, n.Host)
		}
		fmt.Fprintf(w, "%s node\t%s\tweight %d\tpriority %d\t%s\t%d in flight\n", mark, address, n.Weight, n.Priority, n.Health, n.InFlight)
	}
}
