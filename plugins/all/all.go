// Package all is the list of the plugins that are built in.
package all

import (
	_ "github.com/sluicegw/sluice/plugins/acl"                 // acl
	_ "github.com/sluicegw/sluice/plugins/apibreaker"          // api-breaker
	_ "github.com/sluicegw/sluice/plugins/attachconsumerlabel" // attach-consumer-label
	_ "github.com/sluicegw/sluice/plugins/basicauth"           // basic-auth
	_ "github.com/sluicegw/sluice/plugins/batchrequests"       // batch-requests
	_ "github.com/sluicegw/sluice/plugins/brotli"              // brotli
	_ "github.com/sluicegw/sluice/plugins/clientcontrol"       // client-control
	_ "github.com/sluicegw/sluice/plugins/consumerrestriction" // consumer-restriction
	_ "github.com/sluicegw/sluice/plugins/cors"                // cors
	_ "github.com/sluicegw/sluice/plugins/csrf"                // csrf
	_ "github.com/sluicegw/sluice/plugins/echo"                // echo
	_ "github.com/sluicegw/sluice/plugins/errorpage"           // error-page
	_ "github.com/sluicegw/sluice/plugins/faultinjection"      // fault-injection
	_ "github.com/sluicegw/sluice/plugins/forwardauth"         // forward-auth
	_ "github.com/sluicegw/sluice/plugins/gzip"                // gzip
	_ "github.com/sluicegw/sluice/plugins/hmacauth"            // hmac-auth
	_ "github.com/sluicegw/sluice/plugins/iprestriction"       // ip-restriction
	_ "github.com/sluicegw/sluice/plugins/jwtauth"             // jwt-auth
	_ "github.com/sluicegw/sluice/plugins/keyauth"             // key-auth
	_ "github.com/sluicegw/sluice/plugins/limitconn"           // limit-conn
	_ "github.com/sluicegw/sluice/plugins/limitcount"          // limit-count
	_ "github.com/sluicegw/sluice/plugins/limitreq"            // limit-req
	_ "github.com/sluicegw/sluice/plugins/mocking"             // mocking
	_ "github.com/sluicegw/sluice/plugins/multiauth"           // multi-auth
	_ "github.com/sluicegw/sluice/plugins/prometheus"          // prometheus
	_ "github.com/sluicegw/sluice/plugins/proxymirror"         // proxy-mirror
	_ "github.com/sluicegw/sluice/plugins/proxyrewrite"        // proxy-rewrite
	_ "github.com/sluicegw/sluice/plugins/publicapi"           // public-api
	_ "github.com/sluicegw/sluice/plugins/realip"              // real-ip
	_ "github.com/sluicegw/sluice/plugins/redirect"            // redirect
	_ "github.com/sluicegw/sluice/plugins/refererrestriction"  // referer-restriction
	_ "github.com/sluicegw/sluice/plugins/requestid"           // request-id
	_ "github.com/sluicegw/sluice/plugins/requestvalidation"   // request-validation
	_ "github.com/sluicegw/sluice/plugins/responserewrite"     // response-rewrite
	_ "github.com/sluicegw/sluice/plugins/trafficsplit"        // traffic-split
	_ "github.com/sluicegw/sluice/plugins/uarestriction"       // ua-restriction
	_ "github.com/sluicegw/sluice/plugins/uriblocker"          // uri-blocker
	_ "github.com/sluicegw/sluice/plugins/workflow"            // workflow
)
