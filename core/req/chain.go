package req

// Phase is a point of a request's life at which plugins run.
type Phase uint8

// The phases in the order in which they run. See docs/writing-a-plugin.md.
const (
	Rewrite Phase = iota
	Access
	BeforeProxy
	HeaderFilter
	// EncodeHead and EncodeBody put a content coding around what the two
	// filters made.
	EncodeHead
	BodyFilter
	EncodeBody
	Log
	NumPhases
)

// Verdict is what a plugin's step says of the request.
type Verdict uint8

const (
	// Continue lets the next step run.
	Continue Verdict = iota
	// Exit ends the request with the answer set by Ctx.Exit. In header_filter,
	// body_filter and log it means the same as Continue.
	Exit
)

// Step is one plugin in one phase.
type Step struct {
	Name string // the plugin's name
	Run  func(*Ctx) Verdict
	// Slot is the plugin's number, Priority its place: larger first, then by
	// name. Merging chains goes by them.
	Slot     uint8
	Priority int
	// OnDemand: a step of body_filter that runs only for responses that the
	// plugin asked for with Ctx.FilterBody.
	OnDemand bool
}

// Member is a plugin of a chain, whichever phases it runs in.
type Member struct {
	Name     string
	Slot     uint8
	Priority int
}

// Chain is a compiled list of plugins: an array per phase, in the order in
// which they run.
type Chain struct {
	Phases [NumPhases][]Step
	// Members lists the plugins, highest priority first, for debugging headers
	// and explanations.
	Members []Member
	// Plugins has the bit of every plugin in the chain, by slot.
	Plugins uint64
}

// Has tells whether any plugin runs in phase p of the request.
func (c *Ctx) Has(p Phase) bool {
	if g := c.Snap.Global; g != nil && len(g.Phases[p]) != 0 {
		return true
	}
	return c.Eff != nil && c.Eff.Chain != nil && len(c.Eff.Chain.Phases[p]) != 0
}

// RunPhase runs the global rules' steps of phase p and then the route's. A step
// of rewrite, access or before_proxy that exits ends the phase.
func (c *Ctx) RunPhase(p Phase) Verdict {
	if g := c.Snap.Global; g != nil {
		if v := c.run(g, p); v == Exit {
			return Exit
		}
	}
	if c.Eff != nil && c.Eff.Chain != nil {
		return c.run(c.Eff.Chain, p)
	}
	return Continue
}

// RunGlobal runs only the global rules' steps of phase p.
func (c *Ctx) RunGlobal(p Phase) Verdict {
	if g := c.Snap.Global; g != nil {
		return c.run(g, p)
	}
	return Continue
}

func (c *Ctx) run(ch *Chain, p Phase) Verdict { return c.walk(ch.Phases[p], p) }

func (c *Ctx) walk(steps []Step, p Phase) Verdict {
	for i := range steps {
		c.Stage = steps[i].Name
		c.Watch.step(&steps[i].Name)
		if steps[i].Run(c) == Exit && p <= BeforeProxy {
			return Exit
		}
	}
	return Continue
}
