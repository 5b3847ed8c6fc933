package listen

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
)

func TestEchoOfManySizesAtOnce(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			panic(err)
		}
		if n := r.URL.Query().Get("length"); n != "" {
			w.Header().Set("Content-Length", n)
		}
		if _, err := io.Copy(w, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
	g := newGateway(t, nil, b)
	var wg sync.WaitGroup
	for range 10 {
		for _, size := range []int{0, 1, 1000, 16384, 65536, 65537, 1 << 20, 8 << 20} {
			body := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
			for _, chunked := range []bool{false, true} {
				wg.Go(func() {
					url := "http://" + g.addr + "/echo"
					var r io.Reader = bytes.NewReader(body)
					if chunked {
						r = struct{ io.Reader }{r}
					} else {
						url += fmt.Sprintf("?length=%d", size)
					}
					resp, err := http.Post(url, "text/plain", r)
					if err != nil {
						t.Errorf("%d bytes, chunked %v: %v", size, chunked, err)
						return
					}
					defer resp.Body.Close()
					got, err := io.ReadAll(resp.Body)
					if err != nil || !bytes.Equal(got, body) {
						t.Errorf("%d bytes, chunked %v: %d came back, %v", size, chunked, len(got), err)
					}
				})
			}
		}
		wg.Wait()
	}
}
