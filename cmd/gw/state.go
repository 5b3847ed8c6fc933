package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"

	controlapi "github.com/sluicegw/sluice/core/admin/control"
	"github.com/sluicegw/sluice/core/conf"
	"github.com/sluicegw/sluice/core/proc"
)

var _ controlapi.State = (*control)(nil)

// Objects implements the Control API's State.
func (c *control) Objects(kind conf.Kind) []conf.Object { return c.table.List(kind) }

// Health implements the Control API's State.
func (c *control) Health(ctx context.Context) ([]controlapi.Health, error) {
	if c.sup == nil {
		return nil, nil
	}
	raw, err := c.call(ctx, proc.CallHealth, nil)
	if err != nil {
		return nil, err
	}
	var list []controlapi.Health
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("health report of the data process: %w", err)
	}
	prefix := c.settings.Load().Deployment.Etcd.Prefix
	for i := range list {
		h := &list[i]
		// The name is "/apisix/" and the object that holds the checks.
		key := strings.TrimPrefix(h.Name, "/apisix/")
		dir, id, _ := strings.Cut(key, "/")
		h.Kind, h.ID = kindOfDir(dir), id
		h.Name = strings.TrimSuffix(prefix, "/") + "/" + key
	}
	return list, nil
}

func kindOfDir(dir string) conf.Kind {
	for k := conf.KindNone + 1; k < conf.NumKinds; k++ {
		if k.Dir() == dir {
			return k
		}
	}
	return conf.KindNone
}

// CollectGarbage implements the Control API's State.
func (c *control) CollectGarbage(ctx context.Context) error {
	debug.FreeOSMemory()
	if c.sup == nil {
		return nil
	}
	_, err := c.call(ctx, callGC, nil)
	return err
}

// ReloadPlugins implements the Control API's State: the list of plugins in
// config.yaml is read again.
func (c *control) ReloadPlugins(context.Context) error { return c.reload() }

// Discovery implements the Control API's State: no module is built in yet.
func (c *control) Discovery(string) (any, bool) { return nil, false }

// Status implements the Control API's State.
func (c *control) Status(ctx context.Context) (any, error) { return c.report(ctx), nil }
