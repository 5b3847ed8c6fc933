package admin

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// LoadOrCreateKey returns the admin key kept in the file at path. If there is
// no file yet it makes a key of 32 random characters and writes it there,
// readable by its owner only; created says so. The directory must exist.
//
// Two processes that start at once agree on one key: the file is linked into
// place, which only one of them can do.
func LoadOrCreateKey(path string) (key string, created bool, err error) {
	key, err = readKey(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".admin-key-*")
	if err != nil {
		return "", false, fmt.Errorf("admin key cannot be kept in %s: make the directory writable or set deployment.admin.admin_key: %w", path, err)
	}
	defer os.Remove(tmp.Name())
	key = rand.Text() + rand.Text()[:6]
	_, err = tmp.WriteString(key + "\n")
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Link(tmp.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) {
		key, err = readKey(path)
		return key, false, err
	}
	if err != nil {
		return "", false, fmt.Errorf("admin key cannot be written to %s: %w", path, err)
	}
	return key, true, nil
}

func readKey(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("admin key cannot be read: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if key == "" {
		return "", fmt.Errorf("admin key file %s is empty: remove it to have a new key made", path)
	}
	return key, nil
}
