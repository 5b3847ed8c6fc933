package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// File appends to a file. One that was renamed or removed, by a rotation, is
// made again within a second and needs no signal.
type File struct {
	path  string
	f     *os.File
	check time.Time
}

// OpenFile opens path for appending, making it and its folder.
func OpenFile(path string) (*File, error) {
	f := &File{path: path}
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

const recheck = time.Second

func (f *File) open() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return fmt.Errorf("folder of log file %s: %w", f.path, err)
	}
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	if f.f != nil {
		f.f.Close()
	}
	f.f = file
	return nil
}

// Write implements Sink.
func (f *File) Write(lines []byte) error {
	if now := time.Now(); now.Sub(f.check) >= recheck {
		f.check = now
		if f.moved() {
			if err := f.open(); err != nil {
				return err
			}
		}
	}
	_, err := f.f.Write(lines)
	return err
}

func (f *File) moved() bool {
	there, err := os.Stat(f.path)
	if err != nil {
		return true
	}
	here, err := f.f.Stat()
	return err != nil || !os.SameFile(there, here)
}

// Close implements Sink.
func (f *File) Close() error { return f.f.Close() }
