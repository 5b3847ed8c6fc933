package build

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/req"
)

// credential is a credential object of a consumer.
type credential struct {
	id   string // without the consumer's name
	held []held
}

// held is one credential for one auth plugin.
type held struct {
	plugin *chain.Plugin
	key    string
	value  any
}

// contest is a key that several consumers claim for one plugin.
type contest struct {
	plugin *chain.Plugin
	key    string
}

var errCredentialID = errors.New("the id must read <username>/credentials/<id>")

func splitCredentialID(id string) (consumer, credential string, ok bool) {
	return strings.Cut(id, "/credentials/")
}

// readCredentials parses what an object holds for auth plugins. A credential
// whose reference to a secret cannot be resolved is left out: who presents it
// is refused.
func (b *Builder) readCredentials(kind conf.Kind, id string, plugins conf.Plugins) ([]held, error) {
	var out []held
	referring := false
	for name, raw := range plugins {
		p := chain.Lookup(name)
		if p == nil || p.Credential == nil || (b.opt.Enabled != nil && !b.opt.Enabled(name)) {
			continue
		}
		if meta, err := conf.ParsePluginMeta(raw); err != nil || meta.Disable {
			if err != nil {
				return nil, wrap("plugin", name, err)
			}
			continue
		}
		if hasReference(raw) {
			referring = true
			resolved, err := b.resolve(raw)
			if err != nil {
				b.opt.Log.Error("credential cannot be used until its reference resolves", "kind", kind.String(), "id", id, "plugin", name, "error", err)
				continue
			}
			raw = resolved
		}
		h, err := readCredential(p, raw)
		if err != nil {
			return nil, wrap("plugin", name, err)
		}
		out = append(out, h)
	}
	if referring {
		b.secretive[key{kind, id}] = plugins
	} else {
		b.forgetSecrets(kind, id)
	}
	return out, nil
}

func readCredential(p *chain.Plugin, raw json.RawMessage) (held, error) {
	k, v, err := p.Credential(raw)
	if err != nil {
		return held{}, err
	}
	if k == "" {
		return held{}, errors.New("the credential's key is empty")
	}
	return held{plugin: p, key: k, value: v}, nil
}

// replace makes the credentials now those of consumer k in the place of old
// ones. What stands in both is never missing for a moment.
func (b *Builder) replace(old, now []held, k *req.Consumer) {
	for i := range now {
		b.claim(&now[i], k)
	}
	for i := range old {
		h := &old[i]
		if !slices.ContainsFunc(now, func(n held) bool { return n.plugin == h.plugin && n.key == h.key }) {
			b.unclaim(h, k)
		}
	}
}

// claim enters a credential. Of several consumers with the same key the one
// whose name comes first has it, so that all gateways decide alike whatever the
// order of the changes was.
func (b *Builder) claim(h *held, k *req.Consumer) {
	table := b.directory.Credentials(h.plugin.Name)
	c := chain.Credential{Consumer: k, Value: h.value}
	at := contest{h.plugin, h.key}
	claims := b.contested[at]
	if claims == nil {
		other := table.Find([]byte(h.key))
		if other == nil || compareHolders(other.Consumer, k) == 0 {
			table.Put(h.key, c)
			return
		}
		claims = []chain.Credential{*other}
		b.contests = append(b.contests, at)
	}
	i, found := slices.BinarySearchFunc(claims, k, compareClaim)
	if found {
		claims[i] = c
	} else {
		claims = slices.Insert(claims, i, c)
	}
	b.contested[at] = claims
	table.Put(h.key, claims[0])
}

func (b *Builder) unclaim(h *held, k *req.Consumer) {
	table := b.directory.Credentials(h.plugin.Name)
	at := contest{h.plugin, h.key}
	claims := b.contested[at]
	if claims == nil {
		table.Drop(h.key)
		return
	}
	if i, found := slices.BinarySearchFunc(claims, k, compareClaim); found {
		claims = slices.Delete(claims, i, i+1)
	}
	b.contested[at] = claims
	if len(claims) == 1 {
		delete(b.contested, at)
	}
	table.Put(h.key, claims[0])
}

// logContests names the keys that several consumers hold once a batch is
// applied; one that only moved from one to another is no contest.
func (b *Builder) logContests() {
	for _, at := range b.contests {
		claims := b.contested[at]
		if len(claims) < 2 {
			continue
		}
		var holders []string
		for i := range claims {
			holders = append(holders, holder(claims[i].Consumer))
		}
		b.opt.Log.Error("several consumers hold the same credential: the first has it", "plugin", at.plugin.Name, "consumers", holders)
	}
	b.contests = nil
}

func compareClaim(c chain.Credential, k *req.Consumer) int { return compareHolders(c.Consumer, k) }

func compareHolders(a, b *req.Consumer) int {
	return cmp.Or(strings.Compare(a.Username, b.Username), strings.Compare(a.CredentialID, b.CredentialID))
}

func holder(k *req.Consumer) string {
	if k.CredentialID == "" {
		return k.Username
	}
	return fmt.Sprintf("%s/credentials/%s", k.Username, k.CredentialID)
}
