package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/sluicegw/sluice/test/e2e/gateway"
)

// The README is a promise: its blocks marked "sh" are run in order in a fresh
// copy of the tree, on a network of their own with nothing but loopback, and
// what it shows as output has to come out.
//
// A block's first line may carry, after "sh": "background" (a command that
// stays in the foreground in its terminal), "wait=PORT" (go on when the port
// accepts), "dry" (the command is only checked by make -n). A "text" block
// that follows is the expected output; "…" in it stands for any text.

// block is one "sh" block of the README.
type block struct {
	line            int
	text            string
	background, dry bool
	port            string
	want            string
}

func readBlocks(t *testing.T, path string) []block {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var blocks []block
	var kind string
	var body strings.Builder
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		line := sc.Text()
		switch {
		case strings.HasPrefix(line, "```") && kind == "":
			kind = strings.TrimPrefix(line, "```")
			if kind == "" {
				kind = "plain"
			}
			body.Reset()
			if kind == "sh" || strings.HasPrefix(kind, "sh ") {
				b := block{line: n}
				for _, attr := range strings.Fields(kind)[1:] {
					switch name, value, _ := strings.Cut(attr, "="); name {
					case "background":
						b.background = true
					case "dry":
						b.dry = true
					case "wait":
						b.port = value
					default:
						t.Fatalf("README line %d: unknown attribute %q", n, attr)
					}
				}
				blocks = append(blocks, b)
			}
		case line == "```":
			switch {
			case kind == "sh" || strings.HasPrefix(kind, "sh "):
				blocks[len(blocks)-1].text = body.String()
			case kind == "text" && len(blocks) > 0 && blocks[len(blocks)-1].want == "":
				blocks[len(blocks)-1].want = body.String()
			}
			kind = ""
		default:
			body.WriteString(line + "\n")
		}
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return blocks
}

func TestREADME(t *testing.T) {
	t.Parallel()
	blocks := readBlocks(t, filepath.Join(gateway.Root(), "README.md"))
	if len(blocks) < 5 {
		t.Fatalf("the README has only %d blocks to run", len(blocks))
	}
	dir := copyTree(t)
	sh := startShell(t, dir)
	for _, b := range blocks {
		if t.Failed() {
			break
		}
		switch {
		case b.dry:
			for line := range strings.Lines(b.text) {
				sh.run(t, b.line, strings.Replace(line, "make ", "make -n ", 1)+" >/dev/null")
			}
		case b.background:
			sh.run(t, b.line, "{\n"+b.text+"} >>replay.log 2>&1 &")
		default:
			sh.expect(t, b)
		}
		if b.port != "" {
			sh.run(t, b.line, fmt.Sprintf("for i in $(seq 1200); do (exec 3<>/dev/tcp/127.0.0.1/%s) 2>/dev/null && break; sleep 0.1; done; (exec 3<>/dev/tcp/127.0.0.1/%s)", b.port, b.port))
		}
	}
	if t.Failed() {
		log, _ := os.ReadFile(filepath.Join(dir, "replay.log"))
		t.Logf("output of the background commands:\n%s", log[max(0, len(log)-8000):])
	}
}

// copyTree copies what git would clone, uncommitted changes included.
func copyTree(t *testing.T) string {
	t.Helper()
	root, dir := gateway.Root(), t.TempDir()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Skipf("not a git checkout: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		info, err := os.Lstat(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // removed and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// shell is a bash in network, process and mount namespaces of its own. When
// it ends, the kernel ends everything that was started in it.
type shell struct {
	in  io.Writer
	out *bufio.Reader
	n   int
}

// shellVar makes the test binary turn into the shell; see TestMain.
const shellVar = "GW_E2E_SHELL"

func startShell(t *testing.T, dir string) *shell {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), shellVar+"=1", "GOPROXY=off")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Skipf("no namespaces to be had here: %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("standard error of the shell:\n%s", stderr.String())
		}
	})
	return &shell{in: in, out: bufio.NewReader(out)}
}

// becomeShell brings up loopback and /proc in fresh namespaces and turns the
// process into bash. It returns only on an error.
func becomeShell() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	ifreq := struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}{name: [16]byte{'l', 'o'}, flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&ifreq))); e != 0 {
		return fmt.Errorf("loopback: %w", e)
	}
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		return err
	}
	return syscall.Exec(bash, []string{"bash", "--noprofile", "--norc"}, os.Environ())
}

// run runs text, fails the test on another exit code than 0 and returns what
// it printed.
func (s *shell) run(t *testing.T, line int, text string) string {
	t.Helper()
	s.n++
	mark := fmt.Sprintf("__end_of_block_%d__", s.n)
	fmt.Fprintf(s.in, "%s\nprintf '\\n%s %%d\\n' $?\n", strings.TrimRight(text, "\n"), mark)
	type result struct {
		out  string
		code string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		var out strings.Builder
		for {
			l, err := s.out.ReadString('\n')
			if code, ok := strings.CutPrefix(l, mark+" "); ok {
				done <- result{strings.TrimSuffix(out.String(), "\n"), strings.TrimSpace(code), nil}
				return
			}
			if err != nil {
				done <- result{out.String(), "", err}
				return
			}
			out.WriteString(l)
		}
	}()
	select {
	case r := <-done:
		if r.err != nil || r.code != "0" {
			t.Fatalf("README line %d: exit code %s, error %v\n$ %s%s", line, r.code, r.err, text, r.out)
		}
		return r.out
	case <-time.After(5 * time.Minute):
		t.Fatalf("README line %d has not ended after 5 minutes\n$ %s", line, text)
	}
	return ""
}

// expect runs a block and compares its output. A change needs a moment to be
// live, which somebody who types has and a script has not: the block is run
// again for two seconds until the output is right.
func (s *shell) expect(t *testing.T, b block) {
	t.Helper()
	var got string
	if !gateway.Poll(2*time.Second, func() bool {
		got = s.run(t, b.line, b.text)
		return b.want == "" || shows(b.want, got)
	}) {
		t.Errorf("README line %d prints something else\n$ %swant:\n%s\ngot:\n%s", b.line, b.text, b.want, got)
	}
}

func shows(want, got string) bool {
	var re strings.Builder
	re.WriteString(`^\s*`)
	for i, part := range strings.Split(strings.TrimSpace(want), "…") {
		if i > 0 {
			re.WriteString(`(?s:.*)`)
		}
		re.WriteString(regexp.QuoteMeta(part))
	}
	re.WriteString(`\s*$`)
	return regexp.MustCompile(re.String()).MatchString(got)
}
