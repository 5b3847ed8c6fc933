// Package private keeps files that only the gateway reads: the key they are
// encrypted with, and writing that leaves either the old or the new file.
package private

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// KeySize is the length of a key in bytes.
const KeySize = 32

// MakeKey reads the key file, or makes it when there is none. Two processes
// that start at once agree on one key: the file appears whole or not at all.
func MakeKey(path string) ([]byte, error) {
	key, err := ReadKey(path)
	if !errors.Is(err, os.ErrNotExist) {
		return key, err
	}
	key = make([]byte, KeySize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("key file: cannot make a key: %w", err)
	}
	tmp, err := WriteTemp(path, func(w io.Writer) error {
		_, err := w.Write(key)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("key file: cannot write it: %w", err)
	}
	defer func() { _ = os.Remove(tmp) }()
	// A link fails where a rename would replace a key somebody just made.
	switch err := os.Link(tmp, path); {
	case errors.Is(err, os.ErrExist):
		return ReadKey(path)
	case err != nil:
		return nil, fmt.Errorf("key file: cannot write it: %w", err)
	}
	return key, SyncDir(filepath.Dir(path))
}

// ReadKey reads the key file; errors.Is(err, os.ErrNotExist) when there is none.
// A file that others may read is refused.
func ReadKey(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key file: others may read %s (mode %v); run: chmod 600 %s", path, fi.Mode().Perm(), path)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if len(key) != KeySize {
		return nil, fmt.Errorf("key file: %s holds %d bytes instead of %d; "+
			"restore it, or remove it together with the files it encrypts to start anew", path, len(key), KeySize)
	}
	return key, nil
}

// WriteTemp writes a file with mode 0600 beside path, synced, and returns its
// name. Nothing is left behind on an error.
func WriteTemp(path string, write func(io.Writer) error) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return "", err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return "", err
	}
	return f.Name(), f.Sync()
}

// SyncDir makes a rename or a new name in dir last.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
