package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// sinkArg is the hidden first argument that turns this program into the back
// end of upload scenarios. nginx cannot be it: its "return" answers before
// the body has come, which ends the transfer.
const sinkArg = "upload-sink"

func sinkCommand(listen string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return exec.Command(self, sinkArg, listen), nil
}

// runSink reads requests with a body of announced length, throws the body
// away and answers 200, until listening fails.
func runSink(listen string) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			swallow(c)
		}()
	}
}

const sinkAnswer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"

func swallow(c net.Conn) {
	br := bufio.NewReaderSize(c, 256<<10)
	for {
		length := 0
		for line := "?"; line != ""; {
			raw, err := br.ReadString('\n')
			if err != nil {
				return
			}
			line = strings.TrimRight(raw, "\r\n")
			if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Content-Length") {
				if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
					return
				}
			}
		}
		if _, err := br.Discard(length); err != nil {
			return
		}
		if _, err := io.WriteString(c, sinkAnswer); err != nil {
			return
		}
	}
}
