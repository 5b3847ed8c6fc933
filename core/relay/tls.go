package relay

import (
	"context"
	"crypto/tls"
	"net/netip"
	"strings"

	"github.com/sluicegw/sluice/core/req"
	"github.com/sluicegw/sluice/core/secure"
	"github.com/sluicegw/sluice/lb/node"
	"github.com/sluicegw/sluice/lb/pool"
)

// handshake puts TLS on a new connection.
func (a *attempt) handshake(c *upConn, deadline int64) error {
	var cfg *tls.Config
	if by := a.up.TLS.ByNode; by != nil {
		cfg = by[a.node.Index]
	} else {
		cfg = a.up.TLS.Base.Clone()
		cfg.ServerName = strings.Clone(serverName(a.ctx.Host))
	}
	t := secure.Client(&c.Conn, cfg)
	if err := t.Handshake(context.Background(), a.t, deadline); err != nil {
		t.Release()
		return err
	}
	c.tls = t
	return nil
}

// serverName is the name to ask for: the Host that the upstream sees, unless
// that is an address, which TLS has no name for.
func serverName(host []byte) string {
	s := text(host)
	if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return ""
	}
	return s
}

// namedPools numbers the pools of upstreams whose server name is the client's
// Host. Clients choose those names, so what is remembered is bounded.
type namedPools struct {
	ids map[namedKey]namedPool
}

type namedKey struct {
	base pool.ID
	name string
}

type namedPool struct {
	id   pool.ID
	keys *pool.Keys
}

// maxNamed bounds the names that a loop remembers; beyond it all are
// forgotten, with the connections that wait under them.
const maxNamed = 4096

// pool is the number of n's pool for a server name.
func (p *namedPools) pool(up *req.Upstream, n *node.Node, name string) pool.ID {
	base := up.Pools[n.Index]
	if e, ok := p.ids[namedKey{base, name}]; ok {
		return e.id
	}
	if len(p.ids) >= maxNamed || p.ids == nil {
		for _, e := range p.ids {
			e.keys.Release(e.id)
		}
		p.ids = make(map[namedKey]namedPool)
	}
	key := up.TLS.Key
	key.Addr, key.ServerName = n.Addr, strings.Clone(name)
	id := up.TLS.Keys.Acquire(key)
	p.ids[namedKey{base, key.ServerName}] = namedPool{id, up.TLS.Keys}
	return id
}
