package admin

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
	"go.yaml.in/yaml/v3"
)

// Configs keeps the configuration of the API-driven standalone mode.
type Configs interface {
	// Load returns what is loaded; the zero Document before the first PUT.
	// The document is shared: nobody writes into it.
	Load() Document
	// Replace installs next if the loaded digest still is the one of prev,
	// and returns false if someone else was faster.
	Replace(ctx context.Context, prev, next Document) (bool, error)
}

// Document is a whole configuration as it was sent.
type Document struct {
	// Digest is the client's own name for the content, empty before the first
	// PUT.
	Digest string
	// LastModified is when it was installed, in unix seconds.
	LastModified int64
	// Versions and Items are keyed by collection ("routes").
	Versions map[string]int64
	Items    map[string][]any
}

// flatten makes the document's external form: collections, versions and the
// two metadata fields side by side.
func (d *Document) flatten() map[string]any {
	flat := make(map[string]any, 2*len(configKinds)+2)
	for _, k := range configKinds {
		flat[k.key+versionSuffix] = d.Versions[k.key]
		if items := d.Items[k.key]; len(items) > 0 {
			flat[k.key] = items
		}
	}
	if d.Digest != "" {
		flat[digestHeader] = d.Digest
		flat[lastModifiedHeader] = d.LastModified
	}
	return flat
}

func (c *call) setDocumentHeaders(d *Document) {
	if d.Digest == "" {
		return
	}
	h := &c.http.Response.Header
	h.Set(digestHeader, d.Digest)
	h.Set(lastModifiedHeader, strconv.FormatInt(d.LastModified, 10))
}

func (api *API) headConfigs(c *call) error {
	d := api.o.Configs.Load()
	c.setDocumentHeaders(&d)
	return c.answer(fasthttp.StatusOK, nil)
}

func (api *API) getConfigs(c *call) error {
	d := api.o.Configs.Load()
	c.setDocumentHeaders(&d)
	text := compact(d.flatten())
	if !strings.HasPrefix(string(c.http.Request.Header.Peek("Accept")), "application/yaml") {
		return c.answer(fasthttp.StatusOK, text)
	}
	// By way of JSON, so that numbers appear as numbers.
	var plain any
	if err := yaml.Unmarshal(text, &plain); err != nil {
		return refuse(fasthttp.StatusInternalServerError, "failed to encode yaml: %v", err)
	}
	out, err := yaml.Marshal(plain)
	if err != nil {
		return refuse(fasthttp.StatusInternalServerError, "failed to encode yaml: %v", err)
	}
	c.http.SetContentType("application/yaml")
	return c.answer(fasthttp.StatusOK, out)
}

func (api *API) putConfigs(c *call) error {
	digest := string(c.http.Request.Header.Peek(digestHeader))
	if digest == "" {
		return invalid("missing digest header")
	}
	whole, err := c.wholeConfig()
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		loaded := api.o.Configs.Load()
		if loaded.Digest == digest {
			c.setDocumentHeaders(&loaded)
			return c.answer(fasthttp.StatusNoContent, nil)
		}
		if errs := api.checkConfig(whole, 1); len(errs) > 0 {
			return invalid("%s", errs[0].Error)
		}
		next, err := succeed(&loaded, whole)
		if err != nil {
			return err
		}
		if c.flag("dry_run") {
			return c.answer(fasthttp.StatusOK, summarize(&loaded, &next))
		}
		next.Digest, next.LastModified = digest, api.o.Now().Unix()
		done, err := api.o.Configs.Replace(c.ctx, loaded, next)
		if err != nil {
			return err
		}
		if done {
			c.setDocumentHeaders(&next)
			return c.answer(fasthttp.StatusAccepted, nil)
		}
		if attempt == casAttempts {
			return refuse(fasthttp.StatusServiceUnavailable, "the configuration is being changed by others, try again")
		}
	}
}

// succeed computes the document after a PUT: a version above ours replaces
// the collection, an equal one leaves it untouched, a lower one is refused,
// none counts as ours plus one.
func succeed(loaded *Document, whole map[string]any) (Document, error) {
	next := Document{
		Versions: make(map[string]int64, len(configKinds)),
		Items:    make(map[string][]any, len(configKinds)),
	}
	for _, k := range configKinds {
		ours := loaded.Versions[k.key]
		version := ours + 1
		if given, ok := whole[k.key+versionSuffix].(json.Number); ok {
			f, err := given.Float64()
			if err != nil || f > 1<<53 {
				return Document{}, invalid("%s%s must be a number", k.key, versionSuffix)
			}
			if f < float64(ours) {
				return Document{}, invalid("%s%s must be greater than or equal to (%d)", k.key, versionSuffix, ours)
			}
			version = int64(f)
		}
		next.Versions[k.key] = version
		if version == ours {
			next.Items[k.key] = loaded.Items[k.key]
		} else if items, ok := whole[k.key].([]any); ok {
			next.Items[k.key] = items
		}
	}
	return next, nil
}

// collectionSummary is what a trial PUT says of one collection.
type collectionSummary struct {
	Version int64 `json:"conf_version"`
	Created int   `json:"created"`
	Updated int   `json:"updated"`
	Deleted int   `json:"deleted"`
}

func summarize(loaded, next *Document) any {
	kinds := make(map[string]collectionSummary, len(configKinds))
	for _, k := range configKinds {
		s := collectionSummary{Version: next.Versions[k.key]}
		old := make(map[string]string, len(loaded.Items[k.key]))
		for i, item := range loaded.Items[k.key] {
			old[objectIDOf(k.kind, i, item)] = string(compact(item))
		}
		for i, item := range next.Items[k.key] {
			id := objectIDOf(k.kind, i, item)
			before, ok := old[id]
			switch {
			case !ok:
				s.Created++
			case before != string(compact(item)):
				s.Updated++
			}
			delete(old, id)
		}
		s.Deleted = len(old)
		kinds[k.key] = s
	}
	return struct {
		DryRun  bool                         `json:"dry_run"`
		Changes map[string]collectionSummary `json:"changes"`
	}{true, kinds}
}
