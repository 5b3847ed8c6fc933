package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/sluicegw/sluice/core/conf"
)

// levelCritical leaves only what ends a process.
const levelCritical = slog.LevelError + 4

// logLevel maps nginx's words to slog's levels.
func logLevel(word string) slog.Level {
	switch word {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	case "crit", "alert", "emerg":
		return levelCritical
	}
	return slog.LevelInfo // info, notice
}

// openLog makes the process's log. The level can be changed while it is in
// use.
func openLog(s *conf.Settings, process string, level *slog.LevelVar) (*slog.Logger, error) {
	out := io.Writer(os.Stderr)
	if path := s.Nginx.ErrorLog; path != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, fmt.Errorf("nginx_config.error_log: %w", err)
		}
		// Both processes append to it; it is never closed.
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, fmt.Errorf("nginx_config.error_log: %w", err)
		}
		out = f
	}
	return newLog(out, s.Sluice.Log.Format, level).With("process", process), nil
}

// untilDone is a log that says nothing any more once ctx has ended: an etcd
// that is stopped takes its closed sockets for faults.
func untilDone(ctx context.Context, log *slog.Logger) *slog.Logger {
	return slog.New(mutedHandler{log.Handler(), ctx})
}

type mutedHandler struct {
	slog.Handler
	ctx context.Context
}

func (h mutedHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.ctx.Err() == nil && h.Handler.Enabled(ctx, l)
}

func (h mutedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return mutedHandler{h.Handler.WithAttrs(attrs), h.ctx}
}

func (h mutedHandler) WithGroup(name string) slog.Handler {
	return mutedHandler{h.Handler.WithGroup(name), h.ctx}
}

func newLog(out io.Writer, format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(out, o))
	}
	return slog.New(slog.NewTextHandler(out, o))
}
