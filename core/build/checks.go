package build

import (
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/lb/health"
)

// checks turns an upstream's checks into those of the health manager; nil when
// it has none. Values that configuration leaves out are the manager's defaults.
func checks(c *conf.Upstream) *health.Config {
	k := c.Checks
	if k == nil || k.Active == nil {
		return nil
	}
	out := &health.Config{}
	if c.PassHost == "rewrite" {
		out.RewriteHost = c.UpstreamHost
	}
	a := health.DefaultActive()
	in := k.Active
	a.Type = checkType(in.Type)
	if in.Timeout > 0 {
		a.Timeout = in.Timeout.Duration()
	}
	if in.Concurrency > 0 {
		a.Concurrency = in.Concurrency
	}
	a.Host, a.Port, a.Body, a.Headers, a.VerifyTLS = in.Host, uint16(in.Port), in.HTTPReqBody, in.RequestHeaders, in.HTTPSVerify
	if in.HTTPPath != "" {
		a.Path = in.HTTPPath
	}
	if in.HTTPMethod != "" {
		a.Method = in.HTTPMethod
	}
	if h := in.Healthy; h != nil {
		if h.Interval > 0 {
			a.HealthyInterval = h.Interval.Duration()
		}
		set(&a.HealthyStatuses, h.HTTPStatuses)
		positive(&a.Successes, h.Successes)
	}
	if u := in.Unhealthy; u != nil {
		if u.Interval > 0 {
			a.UnhealthyInterval = u.Interval.Duration()
		}
		set(&a.UnhealthyStatuses, u.HTTPStatuses)
		positive(&a.HTTPFailures, u.HTTPFailures)
		positive(&a.TCPFailures, u.TCPFailures)
		positive(&a.Timeouts, u.Timeouts)
	}
	out.Active = &a
	if in := k.Passive; in != nil {
		p := health.DefaultPassive()
		p.Type = checkType(in.Type)
		// In a passive check 0 switches a rule off, so what is written holds;
		// defaults were filled in when the object was checked.
		if h := in.Healthy; h != nil {
			set(&p.HealthyStatuses, h.HTTPStatuses)
			p.Successes = h.Successes
		}
		if u := in.Unhealthy; u != nil {
			set(&p.UnhealthyStatuses, u.HTTPStatuses)
			p.HTTPFailures, p.TCPFailures, p.Timeouts = u.HTTPFailures, u.TCPFailures, u.Timeouts
		}
		out.Passive = &p
	}
	return out
}

func checkType(s string) health.Type {
	switch s {
	case "https":
		return health.HTTPS
	case "tcp":
		return health.TCP
	}
	return health.HTTP
}

func set(dst *[]int, v []int) {
	if len(v) > 0 {
		*dst = v
	}
}

func positive(dst *int, v int) {
	if v > 0 {
		*dst = v
	}
}
