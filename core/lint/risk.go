package lint

import (
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/conf"
)

// notRepeatable are methods that a node may have acted on although no answer
// came.
var notRepeatable = []string{"POST", "PATCH"}

// upstream looks at the risks of an upstream. at is the field that holds it,
// "" for an object of its own; limited says that the route sets the limits of
// time.
func (c *checker) upstream(at string, u *conf.Upstream, limited bool) {
	if u == nil {
		return
	}
	field := func(name string) string { return strings.Trim(at+"."+name, ".") }
	if on := u.RetryOn; on != nil {
		for _, m := range notRepeatable {
			if slices.Contains(on.Methods, m) {
				c.add("retries-on-post", Warning, field("retry_on.methods"), "%s is sent again although a node may have acted on it: what it does happens twice", m)
			}
		}
	}
	if u.Timeout == nil && !limited {
		c.add("no-timeout", Hint, field("timeout"), "no limits of time are set: a node that hangs holds requests for 60 s")
	}
	if t := u.TLS; (u.Scheme == "https" || u.Scheme == "grpcs" || u.Scheme == "tls") && (t == nil || !t.Verify) {
		c.add("verify-off", Warning, field("tls.verify"), "the nodes' certificates are not checked: set tls.verify, or whoever is on the way can read along")
	}
	c.nodes(field, u)
	if a := u.Checks; a != nil && a.Active != nil && a.Active.Type == "https" && !a.Active.HTTPSVerify {
		c.add("verify-off", Hint, field("checks.active.https_verify_certificate"), "the health checks do not look at certificates")
	}
	if u.HashOn == "" || u.HashOn == "vars" {
		if (u.Type == "chash" || u.Type == "emmie") && u.Key != "" {
			c.variable(field("key"), u.Key)
		}
	}
	if u.HashOn == "vars_combinations" {
		c.template(field("key"), u.Key)
	}
}

func (c *checker) nodes(field func(string) string, u *conf.Upstream) {
	if u.DiscoveryType != "" || u.Nodes == nil {
		return
	}
	if len(u.Nodes) == 0 {
		c.add("no-nodes", Warning, field("nodes"), "the list of nodes is empty: every request gets 503")
		return
	}
	weight := 0
	seen := map[string]bool{}
	for i := range u.Nodes {
		n := &u.Nodes[i]
		weight += n.Weight
		key := n.Host
		if n.Port != 0 {
			key += ":" + decimal(n.Port)
		}
		if seen[key] {
			c.add("node-twice", Warning, field("nodes"), "node %s stands in the list twice", key)
		}
		seen[key] = true
	}
	if weight == 0 && len(u.Nodes) > 1 {
		c.add("no-weight", Warning, field("nodes"), "all nodes have weight 0: none gets traffic")
	}
	if len(u.Nodes) == 1 && u.Retries != nil && *u.Retries > 0 {
		c.add("retries-without-nodes", Hint, field("retries"), "there is one node: no other can be tried")
	}
	if len(u.Nodes) > 1 && u.Checks == nil && u.Retries != nil && *u.Retries == 0 {
		c.add("no-protection", Hint, field("checks"), "several nodes, no health checks and no retries: a node that is down fails its share of the requests")
	}
}
