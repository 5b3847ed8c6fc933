package schema

import "testing"

func TestEverySchemaCompiles(t *testing.T) {
	c, err := Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, r *Resource) {
		if r == nil {
			return
		}
		if _, err := r.Schema(); err != nil {
			t.Errorf("%s: %s", name, err)
		}
	}
	for _, name := range c.ResourceNames() {
		check(name, c.Resource(name))
	}
	for _, name := range c.PluginNames() {
		p := c.Plugin(name)
		check(name, p.Instance())
		check(name+" consumer", p.Consumer())
		check(name+" metadata", p.Metadata())
	}
	for _, name := range c.StreamPluginNames() {
		check("stream "+name, c.StreamPlugin(name).Instance())
		check("stream "+name+" metadata", c.StreamPlugin(name).Metadata())
	}
	if n := len(c.PluginNames()); n < 115 {
		t.Errorf("only %d plugins are known", n)
	}
}
