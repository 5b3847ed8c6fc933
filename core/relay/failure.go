package relay

import (
	"github.com/sluicegw/sluice/core/req"
)

// failure classifies how a try went wrong. What follows from it - the status
// the client sees, whether another node may be tried, what health checks count
// - is data in one table.
type failure uint8

const (
	okay failure = iota
	failNoNodes
	failNoneLeft
	failConnect
	failConnectTimeout
	failSend
	failSendTimeout
	failClosed
	failStale // closed without an answer on a connection from the pool
	failReadTimeout
	failBadHead
	failBroken // the response broke off after its head
	failClient // the client left
	failUploadTimeout
	failBody // the request body is malformed
	numFailures
)

// Kind says what a passive health check counts a try as.
type Kind = req.TryKind

var failures = [numFailures]struct {
	status int
	kind   Kind
	// retry: another node may be tried when the request allows it. unsent: no
	// byte of the request can have reached the node.
	retry, unsent bool
	text          string
}{
	okay:               {kind: req.TryAnswered},
	failNoNodes:        {status: 503, text: "upstream has no nodes"},
	failNoneLeft:       {status: 502, text: "no node is left to try"},
	failConnect:        {502, req.TryTCPFailure, true, true, "cannot connect"},
	failConnectTimeout: {504, req.TryTimeout, true, true, "connect timed out"},
	failSend:           {502, req.TryTCPFailure, true, false, "send failed"},
	failSendTimeout:    {504, req.TryTimeout, true, false, "send timed out"},
	failClosed:         {502, req.TryTCPFailure, true, false, "closed before an answer"},
	failStale:          {502, req.TryTCPFailure, true, false, "pooled connection was closed"},
	failReadTimeout:    {504, req.TryTimeout, true, false, "answer timed out"},
	failBadHead:        {502, req.TryTCPFailure, false, false, "malformed answer"},
	failBroken:         {502, req.TryTCPFailure, false, false, "answer broke off"},
	failClient:         {status: 499, kind: req.TryAnswered, text: "client left"},
	failUploadTimeout:  {status: 408, kind: req.TryAnswered, text: "request body timed out"},
	failBody:           {status: 400, kind: req.TryAnswered, text: "malformed request body"},
}

// mayRetry decides whether another node may get the request after f.
func (a *attempt) mayRetry(f failure) bool {
	rule := &failures[f]
	if !rule.retry {
		return false
	}
	if rt := a.up.RetryTimeout; rt > 0 && a.r.loop.Now()-a.ctx.Start >= rt {
		return false
	}
	if rule.unsent {
		return a.bodyIntact()
	}
	return a.mayResend()
}

// mayResend tells whether the request may be sent again although the node may
// have seen it: RFC 9110 section 9.2.2, with nginx's list of exceptions.
func (a *attempt) mayResend() bool {
	if !a.bodyIntact() {
		return false
	}
	if !a.sent {
		return true
	}
	switch string(a.ctx.Req.Method()) {
	case "POST", "LOCK", "PATCH":
		return false
	}
	return true
}

// bodyIntact tells whether the whole request body can still be sent.
func (a *attempt) bodyIntact() bool {
	return a.ctx.BodyState != req.BodyStreaming || a.upload == nil || !a.upload.consumed
}
