package main

import (
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

func newLog(out io.Writer, format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(out, o))
	}
	return slog.New(slog.NewTextHandler(out, o))
}
