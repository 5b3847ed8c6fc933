package main

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
)

// The chart's measures, in pixels.
const (
	chartWidth = 860
	labelWidth = 150
	barWidth   = 480
	barHeight  = 18
	barGap     = 6
	groupGap   = 34
)

// saveChart draws the results in dir as dir/chart.svg: a group of bars per
// scenario, scaled to its longest bar. Latencies are not in it.
func saveChart(dir string) error {
	all, err := loadResults(dir)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "chart.svg"), []byte(drawChart(all)), 0o644)
}

func drawChart(all []result) string {
	var b strings.Builder
	y := 62
	for _, r := range all {
		if r.RequestRate != 0 {
			continue
		}
		y = drawGroup(&b, r, y)
	}
	head := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="system-ui, sans-serif" font-size="13">
<rect width="100%%" height="100%%" fill="#ffffff"/>
<text x="16" y="26" font-size="16" font-weight="600" fill="#1c2733">CPU time per proxied request, one worker on one core (shorter is better)</text>
<rect x="16" y="38" width="12" height="12" fill="#2f6fb5"/><text x="34" y="48" fill="#46525e">user</text>
<rect x="80" y="38" width="12" height="12" fill="#9cc3ea"/><text x="98" y="48" fill="#46525e">kernel</text>
<text x="160" y="48" fill="#46525e">figure behind the bar: ratio to nginx in the same rounds, median</text>
`, chartWidth, y+6)
	return head + b.String() + "</svg>\n"
}

func drawGroup(b *strings.Builder, r result, y int) int {
	rows := r.rows()
	longest := 0.0
	for _, x := range rows {
		longest = max(longest, x.User+x.Sys, x.Bytes)
	}
	if longest == 0 {
		return y
	}
	y += groupGap - barGap
	fmt.Fprintf(b, `<text x="16" y="%d" font-weight="600" fill="#1c2733">%s: %s</text>`+"\n", y-10, html.EscapeString(r.Scenario), html.EscapeString(r.About))
	for _, x := range rows {
		text := y + barHeight - 5
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end" fill="#46525e">%s</text>`+"\n", labelWidth-8, text, html.EscapeString(x.Gateway))
		scale := barWidth / longest
		user, sys := x.User*scale, x.Sys*scale
		label := fmt.Sprintf("%.1f µs · %.2f", x.User+x.Sys, x.Ratio)
		if x.Bytes != 0 {
			user, sys = x.Bytes*scale, 0
			label = fmt.Sprintf("%.0f bytes · %.2f", x.Bytes, x.Ratio)
		}
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="#2f6fb5"/>`, labelWidth, y, user, barHeight)
		fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#9cc3ea"/>`, labelWidth+user, y, sys, barHeight)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" fill="#1c2733">%s</text>`+"\n", labelWidth+user+sys+8, text, label)
		y += barHeight + barGap
	}
	return y
}
