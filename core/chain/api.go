package chain

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/h1"
	"github.com/sluicegw/sluice/core/req"
)

// API is an endpoint that a plugin answers itself, such as
// /apisix/batch-requests. Nothing reaches it but routes with the plugin
// public-api, so that the routes' other plugins guard it.
type API struct {
	// Path is where it is asked for. PathAttr, when set, names the field of the
	// plugin's plugin_attr that replaces it.
	Path, PathAttr string
	Methods        h1.MethodSet
	// New makes what answers. It is called like Plugin.New, once for each
	// instance of public-api. The answer is set with ctx.Exit; what has to wait
	// may do so.
	New func(env *Env) (func(*req.Ctx) req.Verdict, error)
}

// Endpoint is an API ready to answer.
type Endpoint struct {
	Path    string
	Methods h1.MethodSet
	Answer  func(*req.Ctx) req.Verdict
}

// Peer is what an instance may know of another plugin.
type Peer struct {
	Metadata *Metadata
	Attr     json.RawMessage
	// Disabled: config.yaml leaves the plugin out.
	Disabled bool
}

// Endpoints makes the endpoints of all enabled plugins, sorted by path. It is
// for public-api's New only.
func (e *Env) Endpoints() ([]Endpoint, error) {
	var out []Endpoint
	for _, p := range All() {
		if len(p.APIs) == 0 {
			continue
		}
		env := e.For(p)
		if e.Peer != nil {
			peer := e.Peer(p.Name)
			if peer.Disabled {
				continue
			}
			env.Metadata, env.Attr = peer.Metadata, peer.Attr
		}
		for i := range p.APIs {
			a := &p.APIs[i]
			path, err := a.path(env.Attr)
			if err != nil {
				return nil, fmt.Errorf("plugin_attr.%s: %w", p.Name, err)
			}
			answer, err := a.New(env)
			if err != nil {
				return nil, fmt.Errorf("endpoint %s of plugin %s: %w", path, p.Name, err)
			}
			out = append(out, Endpoint{path, a.Methods, answer})
		}
	}
	slices.SortStableFunc(out, func(a, b Endpoint) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

func (a *API) path(attr json.RawMessage) (string, error) {
	if a.PathAttr == "" || len(attr) == 0 {
		return a.Path, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(attr, &fields); err != nil {
		return "", err
	}
	raw, ok := fields[a.PathAttr]
	if !ok {
		return a.Path, nil
	}
	var path string
	if err := json.Unmarshal(raw, &path); err != nil || !strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("%s must be a path that begins with '/', not %s", a.PathAttr, raw)
	}
	return path, nil
}
