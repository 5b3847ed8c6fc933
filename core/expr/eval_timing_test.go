package expr

import "testing"

func BenchmarkEval(b *testing.B) {
	ctx := request(b, "lang=en&version=2&user=42", "X-Canary: yes\nUser-Agent: curl/8\nCookie: sid=8f2c; group=beta", "")
	for _, rule := range []string{
		`[["http_x_canary","==","yes"]]`,
		`[["arg_version","in",["2","3"]]]`,
		`[["cookie_group","~~","^(beta|alpha)$"]]`,
		`[["remote_addr","ipmatch",["192.168.0.0/16","10.0.0.0/8"]],["arg_user",">",40]]`,
	} {
		e := compile(b, rule)
		b.Run(rule, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !e.Eval(ctx) {
					b.Fatal("false")
				}
			}
		})
	}
}
