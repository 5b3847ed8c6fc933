package main

import (
	"reflect"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/conf"
)

// reload reads config.yaml again and applies what can be applied while
// running. A file with an error changes nothing.
func (c *control) reload() error {
	c.reloading.Lock()
	defer c.reloading.Unlock()
	c.log.Info("reading the configuration again", "file", c.configPath)
	next, notices, err := conf.LoadSettings(c.configPath)
	if err != nil {
		c.log.Error("the configuration has errors; the present settings stay", "error", err)
		return err
	}
	for _, n := range notices {
		c.log.Warn("a setting does not do what it says", "setting", n.Path, "why", n.Why)
	}
	now := c.settings.Load()
	changed := changedSettings(now, next)
	if len(changed) == 0 {
		c.log.Info("the configuration is unchanged")
		return nil
	}
	for _, path := range changed["start"] {
		c.log.Warn("setting changed: it counts from the next start on", "setting", path)
	}
	if len(changed["handover"]) > 0 {
		if err := c.handover(next, changed["handover"]); err != nil {
			c.log.Error("the new settings cannot be served; the present ones stay", "error", err)
			return err
		}
	}
	c.goLive(next, changed["live"])
	c.settings.Store(next)
	return nil
}

func (c *control) handover(next *conf.Settings, paths []string) error {
	c.log.Info("settings changed: the data process is replaced", "settings", strings.Join(paths, " "))
	if c.sup != nil {
		spec, err := dataSpec(next, c.log)
		if err != nil {
			return err
		}
		if err := c.sup.Replace(spec); err != nil {
			return err
		}
	}
	c.plugins.set(next)
	if slices.Contains(paths, "plugins") || slices.Contains(paths, "stream_plugins") {
		c.feed.Recheck(storeCheck(next, c.plugins, c.ring))
	}
	return nil
}

func (c *control) goLive(next *conf.Settings, paths []string) {
	if len(paths) > 0 {
		c.log.Info("settings changed", "settings", strings.Join(paths, " "))
	}
	c.level.Set(logLevel(next.Nginx.ErrorLogLevel))
	if c.sup != nil {
		c.sup.SetLive(liveSettings(next))
	}
	if api := c.api.Load(); api != nil {
		if key, err := madeAdminKey(next, c.log); err != nil {
			c.log.Error("admin key", "error", err)
		} else {
			c.adminKey = key
			api.SetAccess(c.adminAccess(next))
		}
	}
}

// changedSettings lists the keys that differ, by what a reload does with them
// ("live", "handover", "start").
func changedSettings(a, b *conf.Settings) map[string][]string {
	changed := make(map[string][]string)
	diffSettings(reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem(), "", "", changed)
	return changed
}

func diffSettings(a, b reflect.Value, path, reload string, changed map[string][]string) {
	t := a.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		at := strings.Trim(path+"."+key, ".")
		how := reload
		if word := f.Tag.Get("reload"); word != "" {
			how = word
		}
		if f.Type.Kind() == reflect.Struct && holdsSettings(f.Type) {
			diffSettings(a.Field(i), b.Field(i), at, how, changed)
			continue
		}
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			changed[how] = append(changed[how], at)
		}
	}
}

// holdsSettings tells a section from a value that happens to be a struct.
func holdsSettings(t reflect.Type) bool {
	return t != reflect.TypeFor[conf.Address]()
}
