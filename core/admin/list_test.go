package admin

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/sluicegw/sluice/core/conf"
)

func fill(b *bench, n int) {
	for i := 1; i <= n; i++ {
		b.store.put(conf.KindRoute, fmt.Sprint(i), fmt.Sprintf(`{"id":"%d","name":"n%d","uri":"/p/%d","service_id":%d,"labels":{"l%d":"x"}}`, i, i, i, i%3, i%2))
	}
}

// Trap 3 of the contract: page without page_size is no paging.
func TestPaging(t *testing.T) {
	b := newBench(t, nil)
	fill(b, 25)
	f := func(query string, total, listed int, first string) {
		t.Helper()
		r := b.send("GET", base+"/routes?"+query, "")
		var got struct {
			Total int
			List  []struct{ Key string }
		}
		if err := json.Unmarshal([]byte(r.text), &got); err != nil {
			t.Fatalf("%s: %d %s", query, r.status, r.text)
		}
		if got.Total != total || len(got.List) != listed {
			t.Errorf("%s: total %d, listed %d; want %d, %d", query, got.Total, len(got.List), total, listed)
		}
		if listed > 0 && got.List[0].Key != "/apisix/routes/"+first {
			t.Errorf("%s: first is %s, want %s", query, got.List[0].Key, first)
		}
	}
	f("", 25, 25, "1")
	f("page=2", 25, 25, "1")
	f("page_size=10", 25, 25, "1")
	f("page_size=5", 25, 25, "1")
	f("page=1&page_size=10", 25, 10, "1")
	f("page=2&page_size=10", 25, 10, "11")
	f("page=3&page_size=10", 25, 5, "21")
	f("page=4&page_size=10", 25, 0, "")
	f("page=0&page_size=10", 25, 10, "1")
	f("page=-7&page_size=10", 25, 10, "1")
	f("page=x&page_size=10", 25, 25, "1")
	f("page=1e300&page_size=10", 25, 0, "")
	f("page=1&page_size=500", 25, 25, "1")
	f("page=1&page_size=10&name=n1", 11, 10, "1")
	for _, size := range []string{"9", "501", "0", "-1"} {
		r := b.send("GET", base+"/routes?page=1&page_size="+size, "")
		if r.status != 400 || r.text != "page_size must be between 10 and 500" {
			t.Errorf("page_size %s: %d %q", size, r.status, r.text)
		}
	}
}

func TestListFilters(t *testing.T) {
	b := newBench(t, nil)
	fill(b, 12)
	b.store.put(conf.KindRoute, "x", `{"id":"x","uris":["/other","/p/1"]}`)
	f := func(query string, total int) {
		t.Helper()
		r := b.send("GET", base+"/routes?"+query, "")
		if !strings.Contains(r.text, fmt.Sprintf(`"total":%d,`, total)) {
			t.Errorf("%s: %s, want total %d", query, r.text[:min(60, len(r.text))], total)
		}
	}
	f("name=n1", 4) // n1, n10, n11, n12
	f("name="+url.QueryEscape("^n1$"), 1)
	f("name="+url.QueryEscape("n(?=12)"), 1) // look-ahead: PCRE only
	f("name="+url.QueryEscape("("), 0)
	f("uri="+url.QueryEscape("/p/1$"), 2)
	f("uri=other", 1)
	f("label=l1", 6)
	f("label=none", 0)
	f("label=l1&name=n1$", 1)
	f("filter="+url.QueryEscape("service_id=1"), 4)
	f("filter="+url.QueryEscape("service_id=1&upstream_id=2"), 0)
	f("filter="+url.QueryEscape("uri=/p/1"), 13) // unknown field: ignored
	f("filter="+url.QueryEscape("service_id=1&service_id=2"), 4)
	b.run([]step{{"GET", "/services?filter=upstream_id%3D1", "", 200, `{"total":0,"list":[]}`}})
}

func TestUnusableValueIsLeftOutOfLists(t *testing.T) {
	b := newBench(t, nil)
	b.store.put(conf.KindRoute, "1", `{"id":"1"`)
	b.store.put(conf.KindRoute, "2", `{"id":"2"}`)
	b.run([]step{
		{"GET", "/routes", "", 200, `{"total":1,"list":[{"key":"/apisix/routes/2","value":{"id":"2"},"createdIndex":3,"modifiedIndex":3}]}`},
		{"GET", "/routes/1", "", 503, `~unusable`},
		{"PATCH", "/routes/1", `{"uri":"/a"}`, 400, `~write it with PUT`},
		{"PUT", "/routes/1", `{"uri":"/a"}`, 200, ``},
		{"DELETE", "/routes/1", ``, 200, ``},
	})
}

func FuzzPaging(f *testing.F) {
	for _, seed := range []string{"page=1&page_size=10", "page=0x10&page_size=1e2", "page=nan&page_size=inf", "page=-1&page_size=500.5"} {
		f.Add(seed, 30)
	}
	f.Fuzz(func(t *testing.T, query string, n int) {
		if n < 0 || n > 1<<20 {
			return
		}
		var args fasthttp.Args
		args.Parse(query)
		p, failed := parsePage(&args)
		if failed != nil {
			return
		}
		from, to := p.slice(n)
		if from < 0 || to < from || to > n {
			t.Fatalf("%s of %d: [%d:%d]", query, n, from, to)
		}
		if p.size != 0 && (p.size < minPageSize || p.size > maxPageSize || to-from > p.size) {
			t.Fatalf("%s: size %d, %d listed", query, p.size, to-from)
		}
	})
}

func FuzzFilter(f *testing.F) {
	f.Add("name=^n(1|2)&filter=service_id%3D1&label=x", `{"name":"n1","uri":"/a"}`)
	f.Add("uri=(?=a)b&filter=%zz", `{"uris":["/a",1]}`)
	f.Fuzz(func(t *testing.T, query, value string) {
		v, err := decodeObject([]byte(value))
		if err != nil {
			return
		}
		var args fasthttp.Args
		args.Parse(query)
		flt, _ := parseFilter(&args, []string{"service_id", "upstream_id"})
		if !flt.active() && !flt.matches(v) {
			t.Fatal("an empty filter left something out")
		}
	})
}
