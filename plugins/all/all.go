// Package all is the list of the plugins that are built in.
package all

import (
	_ "github.com/sluicegw/sluice/plugins/keyauth"      // key-auth
	_ "github.com/sluicegw/sluice/plugins/proxyrewrite" // proxy-rewrite
)
