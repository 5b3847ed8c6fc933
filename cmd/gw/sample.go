package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"
)

const (
	maxSampleBytes = 1 << 30
	maxSampleDelay = 10 * time.Minute
	maxSampleSSE   = 100_000
)

func sampleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sample-upstream",
		Short: "Run a small HTTP server to try the gateway with",
		Long: `A back end to play with. It answers every path with what it got, as JSON.

  /bytes/N        N bytes
  /delay/MS       answers after MS milliseconds
  /status/CODE    answers with that status
  /sse?n=N&ms=MS  N server-sent events, MS milliseconds apart
  /stream/N       N bytes as chunks`,
		Example: `  gw sample-upstream
  gw sample-upstream --listen 127.0.0.1:1981 --name b`,
		Args: cobra.NoArgs,
	}
	listen := cmd.Flags().String("listen", "127.0.0.1:1980", "address to listen on")
	name := cmd.Flags().String("name", "", "name to answer with; the address if empty")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *name == "" {
			*name = *listen
		}
		return serveSample(*listen, *name)
	}
	return cmd
}

func serveSample(address, name string) error {
	s := &fasthttp.Server{
		Name:               "sample-upstream",
		Handler:            func(ctx *fasthttp.RequestCtx) { answerSample(ctx, name) },
		StreamRequestBody:  true,
		MaxRequestBodySize: 1 << 20, // more is read as a stream
		ReadTimeout:        time.Minute,
		IdleTimeout:        time.Hour,
		CloseOnShutdown:    true,
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT)
	failed := make(chan error, 1)
	go func() { failed <- s.ListenAndServe(address) }()
	fmt.Fprintf(os.Stderr, "sample upstream %s on http://%s\n", name, address)
	select {
	case err := <-failed:
		return fmt.Errorf("sample upstream on %s: %w", address, err)
	case <-stop:
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = s.ShutdownWithContext(ctx) // what is still open then is cut
		return nil
	}
}

// echo is what the sample server tells of a request.
type echo struct {
	Upstream string `json:"upstream"`
	// Request is the request line without the version, "GET /hello".
	Request string              `json:"request"`
	Method  string              `json:"method"`
	Path    string              `json:"path"`
	Query   string              `json:"query,omitempty"`
	Headers map[string][]string `json:"headers"`
	// BodyBytes is the length of the body.
	BodyBytes int64  `json:"body_bytes"`
	Peer      string `json:"peer"`
}

func answerSample(ctx *fasthttp.RequestCtx, name string) {
	what, arg, _ := strings.Cut(strings.TrimPrefix(string(ctx.Path()), "/"), "/")
	switch what {
	case "bytes":
		if n, ok := sampleNumber(ctx, arg, maxSampleBytes); ok {
			ctx.SetContentType("application/octet-stream")
			ctx.SetBodyStream(&pattern{left: n}, n)
		}
	case "stream":
		if n, ok := sampleNumber(ctx, arg, maxSampleBytes); ok {
			ctx.SetContentType("application/octet-stream")
			ctx.SetBodyStream(&pattern{left: n}, -1)
		}
	case "delay":
		if n, ok := sampleNumber(ctx, arg, int(maxSampleDelay.Milliseconds())); ok {
			<-time.After(time.Duration(n) * time.Millisecond)
			echoRequest(ctx, name)
		}
	case "status":
		if n, ok := sampleNumber(ctx, arg, 599); ok && n >= 200 {
			ctx.SetStatusCode(n)
			fmt.Fprintf(ctx, "%d\n", n)
		}
	case "sse":
		serveEvents(ctx)
	default:
		echoRequest(ctx, name)
	}
}

func sampleNumber(ctx *fasthttp.RequestCtx, text string, most int) (int, bool) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		ctx.Error(fmt.Sprintf("%q is not a number from 0 to %d", text, most), fasthttp.StatusBadRequest)
		return 0, false
	}
	return n, true
}

func echoRequest(ctx *fasthttp.RequestCtx, name string) {
	e := echo{
		Upstream: name, Request: string(ctx.Method()) + " " + string(ctx.RequestURI()),
		Method: string(ctx.Method()), Path: string(ctx.Path()), Query: string(ctx.QueryArgs().QueryString()),
		Headers: make(map[string][]string), Peer: ctx.RemoteAddr().String(),
	}
	for k, v := range ctx.Request.Header.All() {
		e.Headers[string(k)] = append(e.Headers[string(k)], string(v))
	}
	if body := ctx.RequestBodyStream(); body != nil {
		var buf [32 << 10]byte
		for {
			n, err := body.Read(buf[:])
			e.BodyBytes += int64(n)
			if err != nil {
				break
			}
		}
	} else {
		e.BodyBytes = int64(len(ctx.Request.Body()))
	}
	raw, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(append(raw, '\n'))
}

func serveEvents(ctx *fasthttp.RequestCtx) {
	n := min(ctx.QueryArgs().GetUintOrZero("n"), maxSampleSSE)
	if n == 0 {
		n = 10
	}
	pause := time.Duration(ctx.QueryArgs().GetUintOrZero("ms")) * time.Millisecond
	ctx.SetContentType("text/event-stream")
	ctx.Response.Header.Set("Cache-Control", "no-store")
	ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
		for i := range n {
			fmt.Fprintf(w, "id: %d\ndata: %s\n\n", i, time.Now().Format(time.RFC3339Nano))
			if w.Flush() != nil {
				return // the client left
			}
			if i < n-1 {
				<-time.After(pause)
			}
		}
	})
}

// pattern is a reader of that many bytes, "0123456789" again and again.
type pattern struct{ left, at int }

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := min(len(b), p.left)
	for i := range b[:n] {
		b[i] = '0' + byte(p.at%10)
		p.at++
	}
	p.left -= n
	return n, nil
}
