package etcdserver

import (
	"os"
	"path/filepath"
)

// Backup copies the data of the server, which is stopped for it and started
// again. It returns the copy for Restore.
func (s *Server) Backup() string {
	s.t.Helper()
	s.Stop()
	dir := filepath.Join(s.t.TempDir(), "backup")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(s.dir, "data"))); err != nil {
		s.t.Fatal(err)
	}
	s.Run()
	return dir
}

// Restore replaces the data of the server by a copy and starts it again: same
// cluster, older state.
func (s *Server) Restore(dir string) {
	s.t.Helper()
	s.Stop()
	data := filepath.Join(s.dir, "data")
	if err := os.RemoveAll(data); err != nil {
		s.t.Fatal(err)
	}
	if err := os.CopyFS(data, os.DirFS(dir)); err != nil {
		s.t.Fatal(err)
	}
	s.Run()
}
