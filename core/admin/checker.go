package admin

import (
	"cmp"
	"slices"

	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/conf/schema"
)

// Conf is the Checker over conf's validator and catalogue of schemas. Its
// validator must be in conf.ModeAdmin.
type Conf struct {
	Validator *conf.Validator
}

var _ Checker = Conf{}

// Check implements Checker.
func (c Conf) Check(kind conf.Kind, id string, value []byte) ([]string, error) {
	_, warnings, err := c.Validator.Check(kind, id, value)
	return warnings, err
}

// CheckSchema implements Checker.
func (c Conf) CheckSchema(kind conf.Kind, value []byte) error {
	return c.Validator.CheckSchema(kind, "", value)
}

// Schema implements Checker.
func (c Conf) Schema(name string) ([]byte, bool) {
	r := conf.Catalogue().Resource(name)
	if r == nil {
		return nil, false
	}
	return r.Text(), true
}

// Plugin implements Checker.
func (c Conf) Plugin(subsystem Subsystem, name string) (Plugin, bool) {
	if !c.enabled(subsystem, name) {
		return Plugin{}, false
	}
	p := c.find(subsystem, name)
	if p == nil {
		return Plugin{}, false
	}
	return describe(p), true
}

// Plugins implements Checker.
func (c Conf) Plugins(subsystem Subsystem) []Plugin {
	names := conf.Catalogue().PluginNames()
	if subsystem == Stream {
		names = conf.Catalogue().StreamPluginNames()
	}
	if own, ok := c.Validator.Plugins.(OwnPlugins); ok {
		names = append(slices.Clone(names), own.OwnPlugins(subsystem)...)
	}
	list := make([]Plugin, 0, len(names))
	for _, name := range names {
		if p, ok := c.Plugin(subsystem, name); ok {
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b Plugin) int { return cmp.Compare(b.Priority, a.Priority) })
	return list
}

// OwnPlugins is offered by a plugin set that has plugins which are not in the
// catalogue of APISIX's.
type OwnPlugins interface {
	// OwnPlugins names them; Schemas describes each.
	OwnPlugins(subsystem Subsystem) []string
}

func (c Conf) enabled(subsystem Subsystem, name string) bool {
	set := c.Validator.Plugins
	if set == nil {
		return true
	}
	if subsystem == Stream {
		return set.KnownStream(name)
	}
	return set.Known(name)
}

func (c Conf) find(subsystem Subsystem, name string) *schema.Plugin {
	if c.Validator.Plugins != nil {
		if p := c.Validator.Plugins.Schemas(name); p != nil {
			return p
		}
	}
	if subsystem == Stream {
		return conf.Catalogue().StreamPlugin(name)
	}
	return conf.Catalogue().Plugin(name)
}

func describe(p *schema.Plugin) Plugin {
	d := Plugin{
		Name: p.Name, Priority: p.Priority, Version: p.Version, Type: p.Type, Scope: p.Scope,
		Schema: p.Instance().Text(),
	}
	if p.HasConsumer() {
		d.ConsumerSchema = p.Consumer().Text()
	}
	if m := p.Metadata(); m != nil {
		d.MetadataSchema = m.Text()
	}
	return d
}
