package conf

import (
	"strings"
	"sync"

	"github.com/sluicegw/sluice/core/conf/schema"
)

// Catalogue returns the schemas of all resources and of all plugins that
// APISIX has, with our extensions.
var Catalogue = sync.OnceValue(func() *schema.Catalogue {
	c, err := schema.Load(extensions)
	if err != nil {
		panic("BUG: " + err.Error()) // The texts are part of the program.
	}
	return c
})

// schemaName is the resource schema of a kind; a secret's depends on its id.
func schemaName(kind Kind, id string) string {
	if kind == KindSecret {
		manager, _, _ := strings.Cut(id, "/")
		return "secret_" + manager
	}
	return kind.String()
}
