package conf

import "testing"

const typicalRoute = `{"id":"12345","uri":"/api/v1/orders/*","hosts":["shop.example.com","*.shop.example.net"],
"methods":["GET","POST"],"name":"orders","priority":3,"labels":{"team":"checkout","env":"prod"},
"vars":[["arg_version","==","2"]],"timeout":{"connect":3,"send":10.5,"read":10.5},
"upstream":{"nodes":{"10.0.0.1:8080":100,"10.0.0.2:8080":50},"type":"roundrobin","retries":2},
"plugins":{"limit-count":{"count":100,"time_window":60,"key":"remote_addr","rejected_code":429},
"proxy-rewrite":{"uri":"/internal/orders","headers":{"set":{"X-From":"gateway"}}}},
"create_time":1700000000,"update_time":1700000001,"status":1}`

// A start with 100,000 routes must be ready within 10 s, so a check may take
// 50 µs on the core that does it.
func BenchmarkCheckRoute(b *testing.B) {
	var v Validator
	value := []byte(typicalRoute)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := v.Check(KindRoute, "12345", value); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckSmallRoute(b *testing.B) {
	var v Validator
	value := []byte(`{"uri":"/hello","upstream_id":"1"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := v.Check(KindRoute, "1", value); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeRoute(b *testing.B) {
	o := &Object{Kind: KindRoute, ID: "12345", Value: []byte(typicalRoute)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(o); err != nil {
			b.Fatal(err)
		}
	}
}
