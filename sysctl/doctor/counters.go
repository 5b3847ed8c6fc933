package doctor

import (
	"fmt"
	"strconv"
	"strings"
)

// tcpListen is a listening socket's state in /proc/net/tcp.
const tcpListen = "0A"

// acceptQueues checks how many connections wait to be accepted right now.
func (d *doctor) acceptQueues() {
	c := Check{
		Name: "accept queues in use", Why: "Connections that wait for the program to accept them. When a queue is full new ones are dropped.",
		Fix: "the program that listens there does not keep up: see its CPU with gw status, give it more loops or more CPUs",
	}
	limit, err := strconv.Atoi(d.proc("sys/net/core/somaxconn").text)
	if err != nil {
		limit = 4096 // the kernel's default
	}
	c.Wanted = fmt.Sprintf("below half of %d", limit)
	longest, sockets, port := 0, 0, ""
	for _, file := range []string{"net/tcp", "net/tcp6"} {
		got := d.proc(file)
		if got.missing() {
			continue
		}
		if got.err != nil {
			d.unread(c, got.err)
			return
		}
		for line := range strings.Lines(got.text) {
			f := strings.Fields(line)
			if len(f) < 5 || f[3] != tcpListen {
				continue
			}
			sockets++
			_, queue, _ := strings.Cut(f[4], ":")
			n, err := strconv.ParseInt(queue, 16, 32)
			if err == nil && int(n) > longest {
				longest, port = int(n), portOf(f[1])
			}
		}
	}
	c.Value = fmt.Sprintf("none waits at %d listening sockets", sockets)
	if longest > 0 {
		c.Value = fmt.Sprintf("%d wait at port %s, the most of %d listening sockets", longest, port, sockets)
	}
	d.add(longest*2 < limit, c)
}

// portOf is the port of an address such as 0100007F:2378.
func portOf(address string) string {
	_, hex, _ := strings.Cut(address, ":")
	n, err := strconv.ParseUint(hex, 16, 16)
	if err != nil {
		return "?"
	}
	return strconv.FormatUint(n, 10)
}

// drops checks what the kernel has thrown away since it started.
func (d *doctor) drops() {
	got := d.proc("net/netstat")
	for _, counter := range []struct{ field, why string }{
		{"ListenOverflows", "Connections dropped because an accept queue was full, since the start of the host's network."},
		{"ListenDrops", "The same and other reasons to drop a new connection, such as no memory."},
	} {
		c := Check{
			Name: counter.field, Wanted: "0", Why: counter.why,
			Fix: "raise net.core.somaxconn and start the gateway again; watch whether it still grows: nstat -az TcpExt" + counter.field,
		}
		switch {
		case got.missing():
		case got.err != nil:
			d.unread(c, got.err)
		default:
			if n, ok := netstat(got.text, counter.field); ok {
				c.Value = n
				d.add(n == "0", c)
			}
		}
	}
	d.softnet()
}

// netstat finds a field of /proc/net/netstat: a line of names is followed by
// one of values.
func netstat(text, field string) (string, bool) {
	lines := strings.Split(text, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for j, name := range names {
			if name == field && j < len(values) {
				return values[j], true
			}
		}
	}
	return "", false
}

// softnet checks the queues between the cards and the protocol stack.
func (d *doctor) softnet() {
	c := Check{
		Name: "packets dropped before the stack", Wanted: "0",
		Why: "A CPU's queue of received packets was full (second column of /proc/net/softnet_stat), since the start of the host.",
		Fix: "raise net.core.netdev_max_backlog, and spread the card's queues",
	}
	got := d.proc("net/softnet_stat")
	switch {
	case got.missing():
		return
	case got.err != nil:
		d.unread(c, got.err)
		return
	}
	var sum uint64
	for line := range strings.Lines(got.text) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		if n, err := strconv.ParseUint(f[1], 16, 64); err == nil {
			sum += n
		}
	}
	c.Value = strconv.FormatUint(sum, 10)
	d.add(sum == 0, c)
}

// conntrack checks how full the table of tracked connections is; there is none
// unless a firewall tracks.
func (d *doctor) conntrack() {
	c := Check{
		Name: "conntrack", Wanted: "below 80 % of nf_conntrack_max",
		Why: "When the table of tracked connections is full, packets of new ones are dropped (\"nf_conntrack: table full\" in the kernel log).",
		Fix: "raise net.netfilter.nf_conntrack_max, or do not track the gateway's ports (NOTRACK)",
	}
	count, limit := d.proc("sys/net/netfilter/nf_conntrack_count"), d.proc("sys/net/netfilter/nf_conntrack_max")
	if count.missing() || limit.missing() {
		return
	}
	for _, got := range []content{count, limit} {
		if got.err != nil {
			d.unread(c, got.err)
			return
		}
	}
	n, errN := strconv.ParseUint(count.text, 10, 63)
	most, errMost := strconv.ParseUint(limit.text, 10, 63)
	if errN != nil || errMost != nil {
		return
	}
	c.Value = fmt.Sprintf("%d of %d", n, most)
	d.add(n < most/10*8, c)
}
