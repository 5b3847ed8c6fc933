// Package proc runs the gateway's two processes: it plans the loops, owns the
// listening sockets, starts, watches, replaces, drains and adopts the data
// process, and feeds it the configuration.
//
// The control process uses Supervisor, Sockets, Table and Feed; the data
// process calls RunData. Between them runs a unix stream socket in the run
// directory (see frame.go for the protocol).
package proc
