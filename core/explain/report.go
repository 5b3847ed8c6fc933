package explain

// Report is the answer to a Question.
type Report struct {
	// Revision is that of the configuration the answer holds for.
	Revision int64   `json:"revision"`
	Request  Request `json:"request"`
	// Refused is set when the gateway would not take the request at all.
	Refused *Answer `json:"refused,omitempty"`
	// Candidates are the routes whose place in the table fits, in the order in
	// which they are tried; those behind the chosen one are never asked.
	Candidates []Candidate `json:"candidates"`
	// MoreCandidates counts those left out.
	MoreCandidates int `json:"more_candidates,omitempty"`
	// Route is the route that serves the request.
	Route *Route `json:"route,omitempty"`
	// Asked is about the route that the question names.
	Asked []Candidate `json:"asked,omitempty"`
	// Global are the plugins of the global rules, Plugins those of the route;
	// in the order of their priority.
	Global  []Plugin `json:"global_plugins,omitempty"`
	Plugins []Plugin `json:"plugins,omitempty"`
	// Upstream is where the request goes.
	Upstream *Upstream `json:"upstream,omitempty"`
	// Outcome is one sentence.
	Outcome string `json:"outcome"`
	// Notes are what the answer does not take into account.
	Notes []string `json:"notes,omitempty"`
}

// Request is the request as the gateway reads it.
type Request struct {
	Method string `json:"method"`
	Scheme string `json:"scheme"`
	Host   string `json:"host"`
	Port   uint16 `json:"port,omitempty"`
	// Path is the normalised path that routes match on.
	Path   string `json:"path"`
	Query  string `json:"query,omitempty"`
	Client string `json:"client"`
}

// Answer is one that the gateway makes itself.
type Answer struct {
	Status int    `json:"status"`
	Reason string `json:"reason"`
}

// Candidate is a route at one of its places.
type Candidate struct {
	Route string `json:"route"`
	Name  string `json:"name,omitempty"`
	URI   string `json:"uri"`
	Host  string `json:"host,omitempty"`
	// Priority orders only candidates of the same place.
	Priority int `json:"priority"`
	// Failed is the field whose condition does not hold, empty when all hold.
	Failed string `json:"failed,omitempty"`
	Detail string `json:"detail,omitempty"`
	Chosen bool   `json:"chosen,omitempty"`
}

// Route is the route that serves.
type Route struct {
	ID           string `json:"id"`
	Name         string `json:"name,omitempty"`
	MatchedURI   string `json:"matched_uri"`
	MatchedHost  string `json:"matched_host,omitempty"`
	Service      string `json:"service,omitempty"`
	PluginConfig string `json:"plugin_config,omitempty"`
	Consumer     string `json:"consumer,omitempty"`
	Group        string `json:"consumer_group,omitempty"`
	// Missing names what the route refers to and does not exist.
	Missing []string `json:"missing,omitempty"`
	// Params are the captures of the path pattern.
	Params    map[string]string `json:"params,omitempty"`
	Websocket bool              `json:"websocket,omitempty"`
}

// Plugin is one that runs for the request.
type Plugin struct {
	Name     string   `json:"name"`
	Priority int      `json:"priority"`
	Origin   string   `json:"origin"`
	Covers   []string `json:"covers,omitempty"`
	Phases   []string `json:"phases"`
	Auth     bool     `json:"auth,omitempty"`
	// StandsBack says that the route's own instance runs instead.
	StandsBack bool `json:"stands_back,omitempty"`
}

// Upstream is where the request goes.
type Upstream struct {
	// Object is where it is defined: "upstreams/1", "routes/7".
	Object string `json:"object"`
	Name   string `json:"name,omitempty"`
	Scheme string `json:"scheme"`
	Policy string `json:"policy"`
	// HashKey is what a consistent hash looks at.
	HashKey string `json:"hash_key,omitempty"`
	Nodes   []Node `json:"nodes"`
	// Host is the Host header that the node gets.
	Host    string `json:"host"`
	Retries int    `json:"retries"`
	// Connect, Send and Read are the time limits in seconds.
	Connect float64 `json:"connect_timeout"`
	Send    float64 `json:"send_timeout"`
	Read    float64 `json:"read_timeout"`
}

// Node is one back end.
type Node struct {
	Address  string `json:"address"`
	Host     string `json:"host,omitempty"`
	Weight   int    `json:"weight"`
	Priority int    `json:"priority,omitempty"`
	Health   string `json:"health"`
	InFlight int64  `json:"in_flight"`
	// Picked marks the node that the policy would give the request now.
	Picked bool `json:"picked,omitempty"`
}
