// Package corpus holds requests that a gateway must refuse, or must pass on in
// one normal form only, as data for tests: of guard alone and of the whole
// gateway before a recording back end. No program imports it.
//
// A case is a few lines in a file of this folder:
//
//	# why the case exists
//	= name
//	@ option=value
//	> line that is sent
//	! status that it is refused with
//
// A sent line ends with CRLF unless a backslash is its last byte. \r \n \t \\
// and \xNN mean what they mean in Go, and \{text*n} is text n times. Instead of
// a refusal a case may say what the back end gets: "< line" for the head without
// its blank line, "<< text" for the body; "!" alone means that the head is not
// complete. Further messages in what was sent follow behind a line "--". Of
// X-Real-IP and X-Forwarded-* only those that the case names are compared.
//
// Options: trusted (list), tailslash, servlet, encodedslash, nounderscore,
// realip (list), realiphead, recursive, peer, tls, head, uri, fields, body (limits),
// and what guard finds: path, query, host, port, client.
package corpus

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed *.txt
var files embed.FS

// Case is one exchange.
type Case struct {
	Name string
	// Why is the comment above the case.
	Why string
	// Send is what the client sends.
	Send []byte
	// Options hold the settings that the case needs and what guard must find.
	Options map[string]string
	// Want are the outcomes, one for each message in Send.
	Want []Want
}

// Want is what becomes of one message.
type Want struct {
	// Status is the refusal; 0 means that the message is passed on.
	Status int
	// Incomplete means that the gateway waits for more.
	Incomplete bool
	// Head are the request line and fields that the back end gets.
	Head []string
	// Body is the body that it gets.
	Body []byte
}

// Load returns all cases. It fails on a malformed file, naming the line.
func Load() ([]Case, error) {
	names, err := fs.Glob(files, "*.txt")
	if err != nil {
		return nil, err
	}
	var all []Case
	seen := map[string]bool{}
	for _, name := range names {
		b, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		cases, err := parse(strings.TrimSuffix(name, ".txt"), string(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, c := range cases {
			if seen[c.Name] {
				return nil, fmt.Errorf("%s: case %s exists twice", name, c.Name)
			}
			seen[c.Name] = true
		}
		all = append(all, cases...)
	}
	return all, nil
}

func parse(file, text string) ([]Case, error) {
	var all []Case
	var why string
	var c *Case
	var w *Want
	for i, line := range strings.Split(text, "\n") {
		mark, rest, _ := strings.Cut(line, " ")
		if mark != "" && mark[0] != '#' && mark != "=" && c == nil {
			return nil, fmt.Errorf("line %d: no case begun", i+1)
		}
		want := func() *Want {
			if w == nil {
				c.Want = append(c.Want, Want{})
				w = &c.Want[len(c.Want)-1]
			}
			return w
		}
		switch mark {
		case "":
			c, w = nil, nil
		case "#":
			why = strings.TrimSpace(why + " " + rest)
		case "=":
			all = append(all, Case{Name: file + "/" + rest, Why: why, Options: map[string]string{}})
			c, w, why = &all[len(all)-1], nil, ""
		case "@":
			k, v, _ := strings.Cut(rest, "=")
			c.Options[k] = v
		case ">":
			b, err := unescape(rest)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			c.Send = append(c.Send, b...)
		case "!":
			if rest == "" {
				want().Incomplete = true
				continue
			}
			status, err := strconv.Atoi(rest)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			want().Status = status
		case "<":
			want().Head = append(want().Head, rest)
		case "<<":
			want().Body = append(want().Body, rest...)
		case "--":
			w = nil
		default:
			return nil, fmt.Errorf("line %d: unknown mark %q", i+1, mark)
		}
	}
	for i := range all {
		if len(all[i].Want) == 0 {
			return nil, fmt.Errorf("case %s says nothing of the outcome", all[i].Name)
		}
	}
	return all, nil
}

// unescape returns the bytes that a line stands for.
func unescape(s string) ([]byte, error) {
	var b []byte
	end := "\r\n"
	for len(s) > 0 {
		if s[0] != '\\' {
			b = append(b, s[0])
			s = s[1:]
			continue
		}
		s = s[1:]
		if s == "" {
			end = ""
			break
		}
		n := 1
		switch s[0] {
		case 'r':
			b = append(b, '\r')
		case 'n':
			b = append(b, '\n')
		case 't':
			b = append(b, '\t')
		case '\\':
			b = append(b, '\\')
		case 'x':
			if len(s) < 3 {
				return nil, fmt.Errorf("short \\x")
			}
			v, err := strconv.ParseUint(s[1:3], 16, 8)
			if err != nil {
				return nil, err
			}
			b = append(b, byte(v))
			n = 3
		case '{':
			text, rest, ok := strings.Cut(s[1:], "}")
			text, count, ok2 := strings.Cut(text, "*")
			times, err := strconv.Atoi(count)
			if !ok || !ok2 || err != nil {
				return nil, fmt.Errorf("malformed \\{text*n}")
			}
			part, err := unescape(text + "\\")
			if err != nil {
				return nil, err
			}
			for range times {
				b = append(b, part...)
			}
			s = rest
			continue
		default:
			return nil, fmt.Errorf("unknown escape \\%c", s[0])
		}
		s = s[n:]
	}
	return append(b, end...), nil
}
