package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluicegw/sluice/core/atrest"
	"github.com/sluicegw/sluice/core/chain"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/conf/schema"
	"github.com/sluicegw/sluice/core/expr"
	"github.com/sluicegw/sluice/core/proc"
)

// pluginSet is what config.yaml leaves of the built-in plugins. It can be
// changed while it is in use.
type pluginSet struct{ lists atomic.Pointer[pluginLists] }

// pluginLists are the lists of config.yaml; nil: everything.
type pluginLists struct{ http, stream []string }

func newPluginSet(s *conf.Settings) *pluginSet {
	p := new(pluginSet)
	p.set(s)
	return p
}

func (p *pluginSet) set(s *conf.Settings) {
	p.lists.Store(&pluginLists{http: s.Plugins, stream: s.StreamPlugins})
}

// Known implements conf.PluginSet.
func (p *pluginSet) Known(name string) bool {
	return chain.Lookup(name) != nil && !p.Disabled(name, false)
}

// KnownStream implements conf.PluginSet: no stream plugin is built in yet.
func (p *pluginSet) KnownStream(string) bool { return false }

// Disabled implements conf.PluginSet.
func (p *pluginSet) Disabled(name string, stream bool) bool {
	lists := p.lists.Load()
	list := lists.http
	if stream {
		list = lists.stream
	}
	return list != nil && !slices.Contains(list, name)
}

// Schemas implements conf.PluginSet.
func (p *pluginSet) Schemas(name string) *schema.Plugin { return ownSchemas()[name] }

// ownSchemas are the descriptions of the plugins that bring their schema along.
var ownSchemas = sync.OnceValue(func() map[string]*schema.Plugin {
	own := map[string]*schema.Plugin{}
	for _, p := range chain.All() {
		if p.Schema == nil {
			continue
		}
		text, err := json.Marshal(map[string]any{"schema": p.Schema, "priority": p.Priority, "version": 0.1})
		if err != nil {
			panic("BUG: schema of plugin " + p.Name + " is no JSON: " + err.Error())
		}
		d, err := conf.Catalogue().ParsePlugin(p.Name, text)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		own[p.Name] = d
	}
	return own
})

// newValidator makes the validator for a source of objects.
func newValidator(set *pluginSet, mode conf.Mode) *conf.Validator {
	return &conf.Validator{
		Plugins: set,
		Mode:    mode,
		PluginCheck: func(name string, raw []byte) error {
			if p := chain.Lookup(name); p != nil && p.Check != nil {
				return p.Check(json.RawMessage(raw))
			}
			return nil
		},
		ConsumerCheck: func(name string, raw []byte) error {
			if p := chain.Lookup(name); p != nil && p.CheckConsumer != nil {
				return p.CheckConsumer(json.RawMessage(raw))
			}
			return nil
		},
		ExprCheck: func(raw []byte) error {
			_, err := expr.CompileJSON(raw)
			return err
		},
	}
}

// storeCheck is what the feed does with an object of the store: secrets are
// opened, then it is validated.
func storeCheck(s *conf.Settings, set *pluginSet, ring *atrest.Keyring) proc.Check {
	mode := conf.ModeStore
	if s.Provider() != conf.ProviderEtcd {
		mode = conf.ModeFile
	}
	v := newValidator(set, mode)
	return func(o *conf.Object) ([]byte, []string, error) {
		plain := ring.Open(*o)
		return v.Check(o.Kind, o.ID, plain.Value)
	}
}

// newKeyring makes the keyring for secrets at rest, nil when they are stored
// in plain.
func newKeyring(s *conf.Settings) (*atrest.Keyring, error) {
	ring, err := atrest.New(s.APISIX.DataEncryption.Keyring)
	if err != nil {
		return nil, fmt.Errorf("apisix.data_encryption.keyring: %w", err)
	}
	if !s.APISIX.DataEncryption.Enable {
		// Private keys of certificates are encrypted all the same.
		ring = ring.KeysOnly()
	}
	return ring, nil
}
