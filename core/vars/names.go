package vars

// id says where a variable's value comes from.
type id uint8

const (
	empty  id = iota // known, but nothing in the core sets it
	plugin           // a registered getter

	// Families.
	arg
	header
	cookie
	postArg
	postPath
	uriParam
	sentHeader
	upstreamHeader
	graphql // resolved to one of the three below
	graphqlName
	graphqlOperation
	graphqlRootFields

	// The request.
	requestMethod
	requestURI
	realRequestURI
	requestLine
	requestLength
	requestBody
	uri
	args
	isArgs
	scheme
	serverProtocol
	host
	hostname
	contentType
	contentLength
	remoteUser
	matchedURI
	matchedHost

	// The connection.
	remoteAddr
	remotePort
	serverAddr
	serverPort
	serverName
	realipRemoteAddr
	realipRemotePort
	binaryRemoteAddr
	connection
	connectionRequests
	pid
	https
	sslProtocol
	sslCipher
	sslServerName
	sslClientSDN
	sslClientIDN
	sslClientSerial
	sslClientVerify
	sslSessionReused

	// The configuration.
	routeID
	routeName
	serviceID
	serviceName
	consumerName
	consumerGroupID

	// The response and the clock.
	status
	bytesSent
	bodyBytesSent
	requestTime
	timeLocal
	timeISO8601
	msec

	// The upstream.
	upstreamAddr
	upstreamStatus
	upstreamResponseTime
	upstreamConnectTime
	upstreamHeaderTime
	upstreamBytesReceived
	upstreamScheme
	upstreamHost
	upstreamURI
	upstreamUnresolvedHost
	balancerIP
	balancerPort
)

// families are names that end with a name of the user's own. "post_arg." comes
// before "post_arg_" for no reason but the alphabet: neither is a prefix of the
// other.
var families = [...]struct {
	prefix string
	id     id
}{
	{"arg_", arg},
	{"cookie_", cookie},
	{"graphql_", graphql},
	{"http_", header},
	{"llm_", empty},
	{"post_arg.", postPath},
	{"post_arg_", postArg},
	{"sent_http_", sentHeader},
	{"upstream_http_", upstreamHeader},
	{"uri_param_", uriParam},
}

// names are looked up before the families.
var names = map[string]id{
	"request_method":   requestMethod,
	"method":           requestMethod,
	"request_uri":      requestURI,
	"real_request_uri": realRequestURI,
	"request":          requestLine,
	"request_line":     requestLine,
	"request_length":   requestLength,
	"request_body":     requestBody,
	"uri":              uri,
	"document_uri":     uri,
	"args":             args,
	"query_string":     args,
	"is_args":          isArgs,
	"scheme":           scheme,
	"server_protocol":  serverProtocol,
	"host":             host,
	"hostname":         hostname,
	"content_type":     contentType,
	"content_length":   contentLength,
	"remote_user":      remoteUser,
	"matched_uri":      matchedURI,
	"matched_host":     matchedHost,

	"remote_addr":         remoteAddr,
	"remote_port":         remotePort,
	"server_addr":         serverAddr,
	"server_port":         serverPort,
	"server_name":         serverName,
	"realip_remote_addr":  realipRemoteAddr,
	"realip_remote_port":  realipRemotePort,
	"binary_remote_addr":  binaryRemoteAddr,
	"connection":          connection,
	"connection_requests": connectionRequests,
	"pid":                 pid,
	"https":               https,
	"ssl_protocol":        sslProtocol,
	"ssl_cipher":          sslCipher,
	"ssl_server_name":     sslServerName,
	"ssl_client_s_dn":     sslClientSDN,
	"ssl_client_i_dn":     sslClientIDN,
	"ssl_client_serial":   sslClientSerial,
	"ssl_client_verify":   sslClientVerify,
	"ssl_session_reused":  sslSessionReused,

	"route_id":          routeID,
	"route_name":        routeName,
	"service_id":        serviceID,
	"service_name":      serviceName,
	"consumer_name":     consumerName,
	"consumer_group_id": consumerGroupID,

	"status":          status,
	"bytes_sent":      bytesSent,
	"body_bytes_sent": bodyBytesSent,
	"request_time":    requestTime,
	"time_local":      timeLocal,
	"time_iso8601":    timeISO8601,
	"msec":            msec,

	"upstream_addr":            upstreamAddr,
	"upstream_status":          upstreamStatus,
	"upstream_response_time":   upstreamResponseTime,
	"upstream_connect_time":    upstreamConnectTime,
	"upstream_header_time":     upstreamHeaderTime,
	"upstream_bytes_received":  upstreamBytesReceived,
	"upstream_scheme":          upstreamScheme,
	"upstream_host":            upstreamHost,
	"upstream_uri":             upstreamURI,
	"upstream_unresolved_host": upstreamUnresolvedHost,
	"balancer_ip":              balancerIP,
	"balancer_port":            balancerPort,

	// Plugins set these when they run.
	"resp_body":                  empty,
	"rate_limiting_info":         empty,
	"apisix_request_id":          empty,
	"request_id":                 empty,
	"request_type":               empty,
	"mqtt_client_id":             empty,
	"upstream_cache_status":      empty,
	"original_x_forwarded_for":   empty,
	"original_x_forwarded_proto": empty,
	"original_x_forwarded_host":  empty,
	"original_x_forwarded_port":  empty,
	"original_forwarded":         empty,
}
