// Package doctor looks at the host that a gateway runs on and says what slows
// it down; it changes nothing.
package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sluicegw/sluice/sysctl"
)

// State is how a checked thing is.
type State string

const (
	// OK is as wanted.
	OK State = "ok"
	// Bad is not as wanted.
	Bad State = "bad"
	// Unknown could not be read; Check.Value says why.
	Unknown State = "unknown"
)

// Check is one line of the result.
type Check struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	Value  string `json:"value"`
	Wanted string `json:"wanted"`
	Why    string `json:"why"`
	// Fix is what to do where the state is Bad or Unknown.
	Fix string `json:"fix,omitempty"`
}

// Gateway is what a running gateway says of itself.
type Gateway struct {
	// PID is the process that carries traffic, 0 when there is none.
	PID int
	// Source is "etcd" or another provider; empty when the Admin API alone is
	// the source.
	Source            string
	Reachable, Synced bool
	LagSeconds        float64
	LastError         string
	// Unreachable are the endpoints that do not answer.
	Unreachable []string
}

// Options say what to look at.
type Options struct {
	// Proc and Sys are the places of the kernel's files. Default: /proc, /sys.
	Proc, Sys string
	// Profile is the index of the profile whose values are wanted.
	Profile int
	// Gateway is the gateway on this host, nil when none was found.
	Gateway *Gateway
}

// Run makes all checks. What the kernel does not have is not in the result.
func Run(o Options) []Check {
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if o.Sys == "" {
		o.Sys = "/sys"
	}
	d := &doctor{o: o}
	d.cpus = countList(d.sys("devices/system/cpu/online").text)
	for _, s := range sysctl.Settings() {
		if wanted := s.Values[o.Profile]; wanted != "" {
			d.setting(&s, wanted)
		}
	}
	d.acceptQueues()
	d.drops()
	d.conntrack()
	d.quota()
	d.affinity()
	d.clock()
	d.cards()
	d.source()
	return d.found
}

type doctor struct {
	o     Options
	cpus  int // on line; 0 when unknown
	found []Check
}

// content is a file that was read, or why it was not.
type content struct {
	text string
	err  error
}

func (c content) missing() bool { return errors.Is(c.err, fs.ErrNotExist) }

func read(path string) content {
	b, err := os.ReadFile(path)
	return content{strings.TrimSpace(string(b)), err}
}

func (d *doctor) proc(path string) content { return read(filepath.Join(d.o.Proc, path)) }
func (d *doctor) sys(path string) content  { return read(filepath.Join(d.o.Sys, path)) }

// add appends a check, Bad unless good.
func (d *doctor) add(good bool, c Check) {
	c.State = Bad
	if good {
		c.State, c.Fix = OK, ""
	}
	d.found = append(d.found, c)
}

// unread appends a check of something that could not be read.
func (d *doctor) unread(c Check, err error) {
	c.State, c.Value = Unknown, "could not be read: "+err.Error()
	if errors.Is(err, fs.ErrPermission) {
		c.Fix = "run gw doctor as root to see it"
	}
	d.found = append(d.found, c)
}

// compare appends the check of one file with one value.
func (d *doctor) compare(c Check, got content, rule, wanted string) {
	switch {
	case got.missing():
	case got.err != nil:
		d.unread(c, got.err)
	default:
		value := sysctl.Chosen(got.text)
		c.Value = strings.Join(strings.Fields(value), " ")
		d.add(sysctl.Meets(rule, value, wanted), c)
	}
}

var ruleWords = map[string]string{"min": "at least ", "max": "at most ", "span": "at least the range "}

func (d *doctor) setting(s *sysctl.Setting, wanted string) {
	c := Check{Name: s.Key, Wanted: ruleWords[s.Rule] + wanted, Why: s.Reason}
	switch s.Kind {
	case "sysctl":
		c.Fix = `sysctl -w ` + s.Key + `="` + wanted + `", or sysctl/tune.sh apply ` + sysctl.Profiles[d.o.Profile]
		d.compare(c, d.proc("sys/"+strings.ReplaceAll(s.Key, ".", "/")), s.Rule, wanted)
	case "sys":
		switch s.Rule {
		case "rps":
			d.receiveQueues(s)
		case "xps":
			d.sendQueues(s)
		default:
			paths, err := filepath.Glob(filepath.Join(d.o.Sys, s.Key))
			if err != nil {
				panic("BUG: " + err.Error())
			}
			for _, path := range paths {
				c.Name = strings.TrimPrefix(path, d.o.Sys+"/")
				c.Fix = "echo " + wanted + " > " + path + ", or sysctl/tune.sh apply " + sysctl.Profiles[d.o.Profile]
				d.compare(c, read(path), s.Rule, wanted)
			}
		}
	case "irq":
		d.interrupts(s)
	case "systemd":
		d.openFiles(wanted)
	case "limits": // the same limit by another way in; openFiles looks at the result
	}
}
