package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/sysctl/doctor"
)

func TestFindGateway(t *testing.T) {
	f := func(status int, body string, want *doctor.Gateway) {
		t.Helper()
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.URL.Path != "/v1/sluice/status" {
				t.Errorf("%s was asked for", q.URL.Path)
			}
			w.WriteHeader(status)
			w.Write([]byte(body))
		}))
		defer srv.Close()
		s, _, err := conf.LoadSettings("")
		if err != nil {
			t.Fatal(err)
		}
		s.APISIX.Control = conf.Address{IP: "0.0.0.0", Port: srv.Listener.Addr().(*net.TCPAddr).Port}
		if got := findGateway(t.Context(), s); !reflect.DeepEqual(got, want) {
			t.Errorf("%d %s: %+v, not %+v", status, body, got, want)
		}
		s.APISIX.EnableControl = false
		if got := findGateway(t.Context(), s); got != nil {
			t.Errorf("a control API that is off was asked: %+v", got)
		}
	}
	f(404, `{"error_msg":"not found"}`, nil)
	f(200, `no JSON`, nil)
	f(200, `{"pid":1}`, &doctor.Gateway{})
	f(200, `{"source":{"provider":"etcd","reachable":true,"synced":true,"lag_seconds":0.5,"endpoints":[
		{"Endpoint":"http://a:2379","Reachable":true},{"Endpoint":"http://b:2379"}]}}`,
		&doctor.Gateway{Source: "etcd", Reachable: true, Synced: true, LagSeconds: 0.5, Unreachable: []string{"http://b:2379"}})
}

func TestPluginList(t *testing.T) {
	var b bytes.Buffer
	cmd := pluginsCommand()
	cmd.SetOut(&b)
	cmd.SetArgs([]string{"--json"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	var list []builtin
	if err := json.Unmarshal(b.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	all := chain.All()
	if len(list) != len(all) || len(list) == 0 {
		t.Fatalf("%d plugins are listed of %d", len(list), len(all))
	}
	for i, p := range all {
		if list[i].Name != p.Name || list[i].Priority != p.Priority || list[i].Version == "" {
			t.Errorf("entry %d is %+v, not %s", i, list[i], p.Name)
		}
	}
}
