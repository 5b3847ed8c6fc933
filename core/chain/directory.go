package chain

import (
	"github.com/sluicegw/sluice/core/index"
	"github.com/sluicegw/sluice/core/req"
)

// Credential is what a consumer holds for one auth plugin. Immutable.
type Credential struct {
	Consumer *req.Consumer
	// Value is what Plugin.Credential made of the configuration.
	Value any
}

// Credentials finds the credentials of one auth plugin. A nil one is empty.
type Credentials struct{ table *index.Table[Credential] }

// Find returns the credential that a request names by key, nil when there is
// none. It allocates nothing and takes no lock, and its time tells nothing of
// keys that are nearly right.
func (c *Credentials) Find(key []byte) *Credential {
	if c == nil {
		return nil
	}
	return c.table.Get(key)
}

// Len is how many credentials there are. For the goroutine that writes.
func (c *Credentials) Len() int { return c.table.Len() }

// Put makes v the credential under key; Drop removes it. They are for the
// goroutine that builds the configuration, one at a time.
func (c *Credentials) Put(key string, v Credential) { c.table.Set(key, v) }

// Drop removes the credential under key.
func (c *Credentials) Drop(key string) { c.table.Delete(key) }

// Consumers finds consumers by name. A nil one is empty.
type Consumers struct{ table *index.Table[*req.Consumer] }

// Find returns the consumer of that name, nil when there is none.
func (c *Consumers) Find(name string) *req.Consumer {
	if c == nil {
		return nil
	}
	if v := c.table.GetString(name); v != nil {
		return *v
	}
	return nil
}

// Put makes k the consumer of its name. Like Drop it is for the goroutine that
// builds the configuration.
func (c *Consumers) Put(k *req.Consumer) { c.table.Set(k.Username, k) }

// Drop removes the consumer of that name.
func (c *Consumers) Drop(name string) { c.table.Delete(name) }

// Directory is everything that plugins may look callers up in. A nil one is
// empty.
type Directory struct {
	consumers Consumers
	plugins   map[string]*Credentials
	shared    map[string]any
}

// NewDirectory makes an empty directory for the plugins that are registered.
func NewDirectory() *Directory {
	d := &Directory{
		consumers: Consumers{index.New[*req.Consumer]()},
		plugins:   map[string]*Credentials{}, shared: map[string]any{},
	}
	for name, p := range registry {
		if p.Credential != nil {
			d.plugins[name] = &Credentials{index.New[Credential]()}
		}
	}
	return d
}

// Credentials returns those of one plugin, nil when it has none of its own.
func (d *Directory) Credentials(plugin string) *Credentials {
	if d == nil {
		return nil
	}
	return d.plugins[plugin]
}

// Consumers returns all consumers.
func (d *Directory) Consumers() *Consumers {
	if d == nil {
		return nil
	}
	return &d.consumers
}
