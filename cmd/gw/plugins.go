package main

import (
	"context"
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
	"github.com/sluicegw/sluice/core/store"
)

// pluginSet is what the lists of plugins leave of the built-in ones: those of
// config.yaml, or the one that an admin node pushed through the store or that
// stands in apisix.yaml. It can be changed while it is in use.
type pluginSet struct{ lists atomic.Pointer[pluginLists] }

// pluginLists are the lists in force; nil: everything.
type pluginLists struct {
	http, stream []string
	// pushed is nil when no list was pushed.
	pushed *pushedPlugins
}

// pushedPlugins is a pushed list. APISIX nodes push theirs, which cannot name
// what only this gateway has: over such plugins config.yaml decides.
type pushedPlugins struct {
	text         string
	http, stream []string
}

func newPluginSet(s *conf.Settings) *pluginSet {
	p := new(pluginSet)
	p.set(s)
	return p
}

// set takes the lists of config.yaml.
func (p *pluginSet) set(s *conf.Settings) {
	next := pluginLists{http: s.Plugins, stream: s.StreamPlugins}
	if now := p.lists.Load(); now != nil {
		next.pushed = now.pushed
	}
	p.lists.Store(&next)
}

// push takes a pushed list, nil when there is none any more, and tells whether
// that changes anything. A list that cannot be read changes nothing.
func (p *pluginSet) push(text []byte) (changed bool, err error) {
	now := p.lists.Load()
	next := *now
	next.pushed = nil
	if text != nil {
		var list []struct {
			Name   string `json:"name"`
			Stream bool   `json:"stream"`
		}
		if err := json.Unmarshal(text, &list); err != nil {
			return false, fmt.Errorf("the pushed list of plugins is not an array of {\"name\": ...}: %w", err)
		}
		next.pushed = &pushedPlugins{text: string(text)}
		for _, item := range list {
			if item.Stream {
				next.pushed.stream = append(next.pushed.stream, item.Name)
			} else {
				next.pushed.http = append(next.pushed.http, item.Name)
			}
		}
	}
	p.lists.Store(&next)
	switch {
	case now.pushed == nil || next.pushed == nil:
		return now.pushed != next.pushed, nil
	}
	return now.pushed.text != next.pushed.text, nil
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
	if pushed := lists.pushed; pushed != nil && ofAPISIX(name, stream) {
		if stream {
			return !slices.Contains(pushed.stream, name)
		}
		return !slices.Contains(pushed.http, name)
	}
	list := lists.http
	if stream {
		list = lists.stream
	}
	return list != nil && !slices.Contains(list, name)
}

func ofAPISIX(name string, stream bool) bool {
	if stream {
		return conf.Catalogue().StreamPlugin(name) != nil
	}
	return conf.Catalogue().Plugin(name) != nil
}

// pushPlugins reads config.yaml again and tells the other nodes of its list of
// plugins, as APISIX's admin nodes do. A file without a list pushes none: other
// nodes may have plugins that this one does not know.
func (c *control) pushPlugins(ctx context.Context) error {
	if err := c.reload(); err != nil {
		return err
	}
	s, src := c.settings.Load(), c.src.Load()
	if src == nil || src.etcd == nil || s.Plugins == nil {
		return nil
	}
	type item struct {
		Name   string `json:"name"`
		Stream bool   `json:"stream,omitempty"`
	}
	var list []item
	for _, name := range s.Plugins {
		list = append(list, item{Name: name})
	}
	for _, name := range s.StreamPlugins {
		list = append(list, item{name, true})
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	_, err = src.etcd.PutRaw(ctx, "plugins", text, store.PutOptions{})
	return err
}

// pushed is told of the list of plugins in the store or the file.
func (c *control) pushed(text []byte, rev int64) {
	changed, err := c.plugins.push(text)
	if err != nil {
		c.log.Error("the present list of plugins stays", "revision", rev, "error", err)
		return
	}
	if !changed {
		return
	}
	c.keep.keepPlugins(text)
	c.log.Info("list of plugins taken", "revision", rev, "pushed", text != nil)
	c.feed.Recheck(storeCheck(c.settings.Load(), c.plugins, c.ring))
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
