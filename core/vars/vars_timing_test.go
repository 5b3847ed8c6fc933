package vars

import "testing"

func BenchmarkAccessLogLine(b *testing.B) {
	ctx := request(b, "GET /api/v1/users?lang=en", "User-Agent: curl/8\nReferer: https://example.com/\nAccept: */*", "")
	tmpl := CompileTemplate(`$remote_addr - $remote_user [$time_local] $http_host "$request" $status $body_bytes_sent ` +
		`$request_time "$http_referer" "$http_user_agent" $upstream_addr $upstream_status $upstream_response_time`)
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = tmpl.AppendTo(dst[:0], ctx)
	}
}
