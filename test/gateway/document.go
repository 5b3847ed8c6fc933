package gateway

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// Document is an upstream that answers with an HTML document as the query asks
// for it: size bytes, status, etag, and chunked, which leaves out the length. It
// returns host:port.
func Document(t testing.TB) string {
	return Backend(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		size, _ := strconv.Atoi(q.Get("size"))
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("ETag", q.Get("etag"))
		w.Header().Set("Last-Modified", "Tue, 24 Nov 2026 00:00:00 GMT")
		w.Header().Set("Accept-Ranges", "bytes")
		if q.Get("chunked") == "" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		if s := q.Get("status"); s != "" {
			code, _ := strconv.Atoi(s)
			w.WriteHeader(code)
		}
		io.WriteString(w, DocumentText(size))
	})
}

// DocumentText is the body of Document of that many bytes: text that compresses.
func DocumentText(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "line %d of the body\n", i)
	}
	return b.String()[:size]
}
