package lint

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sluicegw/sluice/core/conf"
)

// references finds what is referred to and not there, and what is there and
// not referred to.
func (l *linter) references() {
	u := &usage{l: l, used: map[string]bool{}, auth: map[string][]string{}, held: map[string]bool{}}
	for _, kind := range slices.Sorted(maps.Keys(l.set.values)) {
		for _, id := range slices.Sorted(maps.Keys(l.set.values[kind])) {
			u.object = name(kind, id)
			u.visit(l.set.values[kind][id])
		}
	}
	u.unused()
	u.locked()
}

// usage collects who uses whom.
type usage struct {
	l      *linter
	object string // the one that is looked at
	used   map[string]bool
	// auth lists, by auth plugin, the objects that demand it; held has those of
	// which a consumer has a credential.
	auth map[string][]string
	held map[string]bool
}

// consequence says what a missing object means.
var consequence = map[conf.Kind]string{
	conf.KindUpstream:      "requests get 502",
	conf.KindService:       "requests get 404",
	conf.KindPluginConfig:  "requests get 503",
	conf.KindConsumerGroup: "the consumer's requests get 503",
}

// refer notes a reference.
func (u *usage) refer(kind conf.Kind, id conf.ID, field string) {
	if id == "" {
		return
	}
	target := name(kind, string(id))
	u.used[target] = true
	if u.l.set.present[target] {
		return
	}
	text := consequence[kind]
	if text == "" {
		text = "what needs it does not work"
	}
	u.l.add("dangling", Error, u.object, field, "%s does not exist: %s", target, text)
}

func (u *usage) visit(v any) {
	switch v := v.(type) {
	case *conf.Route:
		u.refer(conf.KindService, v.ServiceID, "service_id")
		u.refer(conf.KindUpstream, v.UpstreamID, "upstream_id")
		u.refer(conf.KindPluginConfig, v.PluginConfigID, "plugin_config_id")
		u.upstream(v.Upstream, "upstream")
		u.plugins(v.Plugins, true)
	case *conf.Service:
		u.refer(conf.KindUpstream, v.UpstreamID, "upstream_id")
		u.upstream(v.Upstream, "upstream")
		u.plugins(v.Plugins, true)
	case *conf.StreamRoute:
		u.refer(conf.KindService, v.ServiceID, "service_id")
		u.refer(conf.KindUpstream, v.UpstreamID, "upstream_id")
		u.upstream(v.Upstream, "upstream")
		if v.Protocol != nil {
			u.refer(conf.KindStreamRoute, v.Protocol.SuperiorID, "protocol.superior_id")
		}
		u.plugins(v.Plugins, false)
	case *conf.Upstream:
		u.upstream(v, "")
	case *conf.PluginConfig:
		u.plugins(v.Plugins, true)
	case *conf.GlobalRule:
		u.plugins(v.Plugins, true)
	case *conf.ConsumerGroup:
		u.plugins(v.Plugins, false)
	case *conf.Consumer:
		u.refer(conf.KindConsumerGroup, v.GroupID, "group_id")
		u.credentials(v.Plugins)
		u.plugins(v.Plugins, false)
	case *conf.Credential:
		u.credentials(v.Plugins)
		u.secrets(v.Plugins)
		username, _, _ := strings.Cut(strings.TrimPrefix(u.object, "consumers/"), "/")
		u.used["consumers/"+username] = true
		if !u.l.set.present["consumers/"+username] {
			u.l.add("dangling", Error, u.object, "", "its consumer %s does not exist: nobody can use it", username)
		}
	case *conf.SSL:
		if raw, err := json.Marshal(v); err == nil {
			u.findSecrets(raw)
		}
	}
}

func (u *usage) upstream(up *conf.Upstream, field string) {
	if up != nil && up.TLS != nil {
		u.refer(conf.KindSSL, up.TLS.ClientCertID, strings.Trim(field+".tls.client_cert_id", "."))
	}
}

// plugins follows what plugins refer to. demanding says that auth plugins here
// demand credentials.
func (u *usage) plugins(plugins conf.Plugins, demanding bool) {
	u.secrets(plugins)
	for _, plugin := range slices.Sorted(maps.Keys(plugins)) {
		raw := plugins[plugin]
		switch plugin {
		case "traffic-split":
			u.split(raw)
		case "grpc-transcode":
			var v struct {
				ProtoID conf.ID `json:"proto_id"`
			}
			if json.Unmarshal(raw, &v) == nil {
				u.refer(conf.KindProto, v.ProtoID, "plugins.grpc-transcode.proto_id")
			}
		}
		if demanding && holdsCredentials(plugin) {
			u.auth[plugin] = append(u.auth[plugin], u.object)
			var v struct {
				Anonymous string `json:"anonymous_consumer"`
			}
			if json.Unmarshal(raw, &v) == nil && v.Anonymous != "" {
				u.held[plugin] = true
				u.used["consumers/"+v.Anonymous] = true
				if !u.l.set.present["consumers/"+v.Anonymous] {
					u.l.add("dangling", Error, u.object, "plugins."+plugin+".anonymous_consumer", "consumer %s does not exist", v.Anonymous)
				}
			}
		}
	}
}

func (u *usage) split(raw json.RawMessage) {
	var v struct {
		Rules []struct {
			Weighted []struct {
				UpstreamID conf.ID        `json:"upstream_id"`
				Upstream   *conf.Upstream `json:"upstream"`
			} `json:"weighted_upstreams"`
		} `json:"rules"`
	}
	if json.Unmarshal(raw, &v) != nil {
		return
	}
	for _, r := range v.Rules {
		for _, w := range r.Weighted {
			u.refer(conf.KindUpstream, w.UpstreamID, "plugins.traffic-split")
			u.upstream(w.Upstream, "plugins.traffic-split")
		}
	}
}

// holdsCredentials tells whether consumers hold credentials for a plugin.
func holdsCredentials(plugin string) bool {
	p := conf.Catalogue().Plugin(plugin)
	return p != nil && p.Type == "auth" && p.HasConsumer()
}

func (u *usage) credentials(plugins conf.Plugins) {
	for plugin := range plugins {
		if holdsCredentials(plugin) {
			u.held[plugin] = true
			username, _, _ := strings.Cut(strings.TrimPrefix(u.object, "consumers/"), "/")
			u.used["consumers/"+username] = true
		}
	}
}

var secretReference = regexp.MustCompile(`(?i)"\$secret://([^/"]+/[^/"]+)/`)

func (u *usage) secrets(plugins conf.Plugins) {
	for _, raw := range plugins {
		u.findSecrets(raw)
	}
}

func (u *usage) findSecrets(raw []byte) {
	if !bytes.Contains(raw, []byte(`"$`)) {
		return
	}
	for _, m := range secretReference.FindAllSubmatch(raw, -1) {
		target := "secrets/" + string(m[1])
		u.used[target] = true
		if !u.l.set.present[target] {
			u.l.add("dangling", Error, u.object, "", "%s does not exist: the reference is never resolved", target)
		}
	}
}

// needed are the kinds whose objects do nothing by themselves.
var needed = []conf.Kind{
	conf.KindUpstream, conf.KindService, conf.KindPluginConfig, conf.KindConsumerGroup, conf.KindProto, conf.KindSecret, conf.KindConsumer,
}

func (u *usage) unused() {
	for _, kind := range needed {
		for _, id := range slices.Sorted(maps.Keys(u.l.set.values[kind])) {
			object := name(kind, id)
			switch {
			case u.used[object]:
			case kind == conf.KindConsumer:
				u.l.add("unused", Hint, object, "", "the consumer has no credential: nobody can be it")
			default:
				u.l.add("unused", Hint, object, "", "nothing refers to it")
			}
		}
	}
	for id, v := range u.l.set.values[conf.KindSSL] {
		if s, ok := v.(*conf.SSL); ok && s.Type == "client" && !u.used["ssls/"+id] {
			u.l.add("unused", Hint, "ssls/"+id, "", "no upstream uses the client certificate")
		}
	}
}

// locked finds routes that nobody can pass.
func (u *usage) locked() {
	for _, plugin := range slices.Sorted(maps.Keys(u.auth)) {
		if u.held[plugin] {
			continue
		}
		for _, object := range u.auth[plugin] {
			u.l.add("no-credential", Warning, object, "plugins."+plugin, "no consumer has a credential for %s: every request gets 401", plugin)
		}
	}
}
