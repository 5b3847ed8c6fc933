package build

import (
	"fmt"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/vars"
)

// hashKey compiles what a consistent hash looks at (hash_on and key). A request
// that lacks it is placed by its address (contract 9.1).
func hashKey(c *conf.Upstream) (func(dst []byte, ctx *req.Ctx) []byte, error) {
	name := c.Key
	switch c.HashOn {
	case "", "vars":
	case "header":
		name = "http_" + name
	case "cookie":
		name = "cookie_" + name
	case "consumer":
		name = "consumer_name"
	case "vars_combinations":
		t := vars.CompileTemplate(c.Key)
		return func(dst []byte, ctx *req.Ctx) []byte { return t.AppendKey(dst, ctx) }, nil
	default:
		return nil, fmt.Errorf("hash_on %q is not one of vars, header, cookie, consumer, vars_combinations", c.HashOn)
	}
	v, _ := vars.Compile(name)
	addr := vars.MustCompile("remote_addr")
	return func(dst []byte, ctx *req.Ctx) []byte {
		if out, ok := v.Append(dst, ctx); ok && len(out) > len(dst) {
			return out
		}
		out, _ := addr.Append(dst, ctx)
		return out
	}, nil
}
