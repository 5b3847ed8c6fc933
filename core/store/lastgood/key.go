package lastgood

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const keySize = 32

// loadKey reads the key file, or makes it when there is none. Two processes
// that start at once agree on one key: the file appears whole or not at all.
func loadKey(path string) ([]byte, error) {
	key, err := readKey(path)
	if !errors.Is(err, os.ErrNotExist) {
		return key, err
	}
	key = make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("last good configuration: cannot make a key: %w", err)
	}
	tmp, err := writeTemp(path, func(w io.Writer) error {
		_, err := w.Write(key)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("last good configuration: cannot write the key file: %w", err)
	}
	defer func() { _ = os.Remove(tmp) }()
	// A link fails where a rename would replace a key somebody just made.
	switch err := os.Link(tmp, path); {
	case errors.Is(err, os.ErrExist):
		return readKey(path)
	case err != nil:
		return nil, fmt.Errorf("last good configuration: cannot write the key file: %w", err)
	}
	return key, syncDir(filepath.Dir(path))
}

func readKey(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("last good configuration: key file: %w", err)
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("last good configuration: others may read the key file %s (mode %v); run: chmod 600 %s", path, fi.Mode().Perm(), path)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("last good configuration: key file: %w", err)
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("last good configuration: the key file %s holds %d bytes instead of %d; "+
			"restore it, or remove it together with the configuration beside it to start anew", path, len(key), keySize)
	}
	return key, nil
}

// writeTemp writes a file with mode 0600 beside path, synced, and returns its
// name. Nothing is left behind on an error.
func writeTemp(path string, write func(io.Writer) error) (name string, err error) {
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

// syncDir makes a rename or a new name in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
