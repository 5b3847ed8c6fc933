package conf

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Listen is one address of the data plane.
type Listen struct {
	// IP is empty for all addresses.
	IP string `yaml:"ip"`
	// Port is the TCP port.
	Port int `yaml:"port" min:"1" max:"65535"`
	// HTTP2 is nil where apisix.enable_http2 decides.
	HTTP2 *bool `yaml:"enable_http2"`
	// HTTP3 takes QUIC on the same UDP port.
	HTTP3 bool `yaml:"enable_http3"`
}

// ListenList is written as a port, a list of ports, or a list of {ip, port}.
type ListenList []Listen

func (l *ListenList) fromText(text string) error {
	port, err := parsePort(text)
	*l = ListenList{{Port: port}}
	return err
}

func (l *ListenList) fromYAML(d *decoder, n *yaml.Node, path string) {
	*l = nil
	add := func(n *yaml.Node, path string) {
		if n.Kind == yaml.MappingNode {
			var one Listen
			d.structure(n, &one, path)
			*l = append(*l, one)
			return
		}
		port, err := parsePort(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil {
			d.wrong(n, path, "a port (1..65535) or {ip, port}")
			return
		}
		*l = append(*l, Listen{Port: port})
	}
	if n.Kind != yaml.SequenceNode {
		add(n, path)
		return
	}
	for i, item := range n.Content {
		add(d.resolve(item), fmt.Sprintf("%s[%d]", path, i))
	}
}

// StreamListen is one address for TCP or UDP.
type StreamListen struct {
	// Addr is "port" or "ip:port".
	Addr string
	TLS  bool
}

// StreamListenList is written as a list of ports, "ip:port" or {addr, tls}.
type StreamListenList []StreamListen

func (l *StreamListenList) fromText(string) error { return nil }

func (l *StreamListenList) fromYAML(d *decoder, n *yaml.Node, path string) {
	*l = nil
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, path, "a list of ports or addresses")
		return
	}
	for i, item := range n.Content {
		item, path := d.resolve(item), fmt.Sprintf("%s[%d]", path, i)
		one := struct {
			Addr streamAddr `yaml:"addr"`
			TLS  bool       `yaml:"tls"`
		}{}
		if item.Kind == yaml.MappingNode {
			d.structure(item, &one, path)
		} else {
			one.Addr.fromYAML(d, item, path)
		}
		*l = append(*l, StreamListen{Addr: string(one.Addr), TLS: one.TLS})
	}
}

type streamAddr string

func (a *streamAddr) fromText(string) error { return nil }

func (a *streamAddr) fromYAML(d *decoder, n *yaml.Node, path string) {
	_, portErr := parsePort(n.Value)
	_, addrErr := netip.ParseAddrPort(n.Value)
	if n.Kind != yaml.ScalarNode || portErr != nil && addrErr != nil {
		d.wrong(n, path, `a port or "ip:port"`)
		return
	}
	*a = streamAddr(n.Value)
}

// Address is an address of one of the gateway's own servers, {ip, port}.
type Address struct {
	IP   string `yaml:"ip"`
	Port int    `yaml:"port" min:"1" max:"65535"`
}

// StatusPort is the port of apisix.status when it names none.
const StatusPort = 7085

// IsZero tells that no address is given.
func (a Address) IsZero() bool { return a.Port == 0 }

// String is "ip:port", with brackets around IPv6.
func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	if strings.Contains(a.IP, ":") && !strings.HasPrefix(a.IP, "[") {
		return "[" + a.IP + "]:" + strconv.Itoa(a.Port)
	}
	return a.IP + ":" + strconv.Itoa(a.Port)
}

func (a *Address) fromText(text string) error {
	ap, err := netip.ParseAddrPort(text)
	*a = Address{IP: ap.Addr().String(), Port: int(ap.Port())}
	return err
}

func (a *Address) fromYAML(d *decoder, n *yaml.Node, path string) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "{ip, port}")
		return
	}
	one := struct {
		IP   string `yaml:"ip"`
		Port int    `yaml:"port" min:"1" max:"65535"`
	}{IP: a.IP, Port: a.Port}
	if one.IP == "" {
		one.IP = "127.0.0.1"
	}
	before := len(d.errs)
	d.structure(n, &one, path)
	if len(d.errs) > before {
		return
	}
	if one.Port == 0 {
		one.Port = StatusPort // The only address without a default of its own.
	}
	*a = Address{IP: one.IP, Port: one.Port}
}

// Workers is a number of loops; 0 means auto.
type Workers int

func (w *Workers) fromText(text string) error {
	if text == "auto" {
		*w = 0
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 4096 {
		return fmt.Errorf("expected auto or a number 1..4096, not %q", text)
	}
	*w = Workers(n)
	return nil
}

func (w *Workers) fromYAML(d *decoder, n *yaml.Node, path string) {
	if n.Kind != yaml.ScalarNode || w.fromText(n.Value) != nil {
		d.wrong(n, path, "auto or a number 1..4096")
	}
}

// StringList is a list of strings; a single one may stand without the list.
type StringList []string

func (l *StringList) fromText(text string) error {
	*l = strings.Split(text, ",")
	return nil
}

func (l *StringList) fromYAML(d *decoder, n *yaml.Node, path string) {
	if n.Kind == yaml.ScalarNode {
		*l = StringList{n.Value}
		return
	}
	var list []string
	d.decode(n, &list, path, "")
	*l = list
	if list == nil {
		*l = StringList{} // An empty list is not the default.
	}
}

func parsePort(text string) (int, error) {
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return 0, fmt.Errorf("%q is not a port (1..65535)", text)
	}
	return port, nil
}

// ParseDuration reads nginx's form: a number of seconds, or numbers with units
// ms, s, m, h, d, w, M (30 days), y, as in "1m30s"; us is ours. Fractions are
// allowed in the first form.
func ParseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration: expected a number of seconds or one such as 500ms, 60s, 1m30s", text)
	rest := strings.TrimSpace(text)
	if rest == "" {
		return 0, bad
	}
	if seconds, err := strconv.ParseFloat(rest, 64); err == nil {
		if seconds != seconds || seconds > 1e9 || seconds < -1e9 {
			return 0, bad
		}
		return time.Duration(Seconds(seconds).Nanoseconds()), nil
	}
	var total time.Duration
	for rest != "" {
		i := 0
		for i < len(rest) && (rest[i] >= '0' && rest[i] <= '9') {
			i++
		}
		n, err := strconv.ParseInt(rest[:i], 10, 64)
		if err != nil {
			return 0, bad
		}
		rest = rest[i:]
		i = 0
		for i < len(rest) && (rest[i] < '0' || rest[i] > '9') && rest[i] != ' ' {
			i++
		}
		unit := durationUnits[rest[:i]]
		if unit == 0 || n > int64(maxDuration/unit) {
			return 0, bad
		}
		total += time.Duration(n) * unit
		if total > maxDuration {
			return 0, bad
		}
		rest = strings.TrimLeft(rest[i:], " ")
	}
	return total, nil
}

const (
	day         = 24 * time.Hour
	maxDuration = 100 * 365 * day
)

var durationUnits = map[string]time.Duration{
	"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
	"d": day, "w": 7 * day, "M": 30 * day, "y": 365 * day,
}

// ParseSize reads nginx's form: a number of bytes, or one with k, m or g.
func ParseSize(text string) (int64, error) {
	bad := fmt.Errorf("%q is not a size: expected a number of bytes or one such as 16k, 20m, 1g", text)
	digits, shift := strings.TrimSpace(text), 0
	if digits == "" {
		return 0, bad
	}
	switch digits[len(digits)-1] {
	case 'k', 'K':
		shift = 10
	case 'm', 'M':
		shift = 20
	case 'g', 'G':
		shift = 30
	}
	if shift > 0 {
		digits = digits[:len(digits)-1]
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, bad
	}
	return n << shift, nil
}
