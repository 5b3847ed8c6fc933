package relay

import (
	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/lb/node"
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
	failStatus // a status that the upstream's retry_on names
	failClient // the client left
	failUploadTimeout
	failBody // the request body is malformed: see Ctx.BodyError
	numFailures
)

var failures = [numFailures]struct {
	status int
	// report is what the passive health check counts when no head arrived;
	// node.Success stands for nothing.
	report node.Report
	// retry: another node may be tried when the request allows it. unsent: no
	// byte of the request can have reached the node.
	retry, unsent bool
	text          string
}{
	failNoNodes:        {status: 503, text: "upstream has no nodes"},
	failNoneLeft:       {status: 502, text: "no node is left to try"},
	failConnect:        {502, node.TCPFailure, true, true, "cannot connect"},
	failConnectTimeout: {504, node.Timeout, true, true, "connect timed out"},
	failSend:           {502, node.TCPFailure, true, false, "send failed"},
	failSendTimeout:    {504, node.Timeout, true, false, "send timed out"},
	failClosed:         {502, node.TCPFailure, true, false, "closed before an answer"},
	failStale:          {502, node.TCPFailure, true, false, "pooled connection was closed"},
	failReadTimeout:    {504, node.Timeout, true, false, "answer timed out"},
	failBadHead:        {502, node.TCPFailure, false, false, "malformed answer"},
	failBroken:         {502, node.TCPFailure, false, false, "answer broke off"},
	failStatus:         {status: 502, retry: true, text: "status that leads to a retry"},
	failClient:         {status: 499, text: "client left"},
	failUploadTimeout:  {status: 408, text: "request body timed out"},
	failBody:           {status: 400, text: "malformed request body"},
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
		// A node that was never reached was given no work: the budget is for
		// tries that load the upstream.
		return a.bodyIntact()
	}
	if !a.mayResend() {
		return false
	}
	if !a.up.Budget.Retry(a.r.loop.Now()) {
		a.r.stats.Refused++
		return false
	}
	return true
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
	m := a.ctx.Req.MethodCode
	const never = 1<<h1.MethodPost | 1<<h1.MethodLock | 1<<h1.MethodPatch
	return h1.MethodSet(never)&m.Bit() == 0 || a.up.RetryMethods.Has(m)
}

// bodyIntact tells whether the whole request body can still be sent.
func (a *attempt) bodyIntact() bool {
	return a.ctx.BodyState != req.BodyStreaming || !a.consumed && (a.upload == nil || !a.upload.consumed)
}
