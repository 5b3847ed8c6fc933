package atrest

// Section tells which of a plugin's configurations a field list is for.
type Section uint8

// The sections of a plugin.
const (
	// Instance is the plugin on a route, service and the like.
	Instance Section = iota
	// Consumer is the plugin on a consumer or credential.
	Consumer
	// Metadata is the plugin's metadata.
	Metadata
	numSections
)

// fields lists, per plugin, the dotted paths that are encrypted. A path walks
// through arrays and maps; what it ends at is a string, or an array or map of
// strings.
var fields = map[string][numSections][]string{
	"ai-aliyun-content-moderation": {Instance: {"access_key_secret"}},
	"ai-aws-content-moderation":    {Instance: {"comprehend.secret_access_key"}},
	"ai-cache": {Instance: {
		"redis_password", "semantic.embedding.openai.api_key", "semantic.embedding.azure_openai.api_key"}},
	"ai-lakera-guard": {Instance: {"api_key"}},
	"ai-proxy":        {Instance: aiAuth("auth")},
	"ai-proxy-multi": {Instance: append(aiAuth("instances.auth"),
		"semantic_opts.embeddings.auth.header", "semantic_opts.embeddings.auth.query")},
	"ai-rag": {Instance: {
		"embeddings_provider.azure_openai.api_key", "vector_search_provider.azure_ai_search.api_key"}},
	"ai-rate-limiting":   {Instance: {"redis_password", "sentinel_password"}},
	"ai-request-rewrite": {Instance: {"auth.header", "auth.query"}},
	"authz-casdoor":      {Instance: {"client_secret"}},
	"authz-keycloak":     {Instance: {"client_secret"}},
	"aws-lambda": {Instance: {
		"authorization.apikey", "authorization.iam.accesskey", "authorization.iam.secretkey"}},
	"azure-functions":      {Instance: {"authorization.apikey"}, Metadata: {"master_apikey"}},
	"basic-auth":           {Consumer: {"password"}},
	"cas-auth":             {Instance: {"cookie.secret"}},
	"clickhouse-logger":    {Instance: {"password"}},
	"csrf":                 {Instance: {"key"}},
	"dingtalk-auth":        {Instance: {"app_secret", "secret", "secret_fallbacks"}},
	"elasticsearch-logger": {Instance: {"auth.password", "headers"}},
	"error-log-logger":     {Metadata: {"clickhouse.password"}},
	"feishu-auth":          {Instance: {"app_secret", "secret", "secret_fallbacks"}},
	"google-cloud-logging": {Instance: {"auth_config.private_key"}},
	"graphql-limit-count": {Instance: {
		"redis_password", "sentinel_password", "introspection_headers"}},
	"hmac-auth":          {Consumer: {"secret_key"}},
	"http-logger":        {Instance: {"auth_header"}},
	"jwe-decrypt":        {Consumer: {"key", "secret"}},
	"jwt-auth":           {Consumer: {"secret"}},
	"kafka-logger":       {Instance: {"brokers.sasl_config.password"}},
	"kafka-proxy":        {Instance: {"sasl.password"}},
	"key-auth":           {Consumer: {"key"}},
	"lago":               {Instance: {"token"}},
	"limit-conn":         {Instance: {"redis_password"}},
	"limit-count":        {Instance: {"redis_password", "sentinel_password"}},
	"limit-req":          {Instance: {"redis_password"}},
	"loggly":             {Instance: {"customer_token"}},
	"loki-logger":        {Instance: {"headers"}},
	"openfunction":       {Instance: {"authorization.service_token"}},
	"openid-connect":     {Instance: {"client_secret", "client_rsa_private_key"}},
	"openwhisk":          {Instance: {"service_token"}},
	"rocketmq-logger":    {Instance: {"secret_key"}},
	"saml-auth":          {Instance: {"sp_private_key", "secret", "secret_fallbacks"}},
	"sls-logger":         {Instance: {"access_key_secret"}},
	"splunk-hec-logging": {Instance: {"endpoint.token"}},
	"tencent-cloud-cls":  {Instance: {"secret_key"}},
}

// formerly lists paths that earlier APISIX releases encrypted: data written by
// them is still opened, nothing new is encrypted there.
var formerly = map[string][numSections][]string{
	"jwt-auth": {Consumer: {"private_key"}},
}

func aiAuth(prefix string) []string {
	return []string{
		prefix + ".header", prefix + ".query", prefix + ".gcp.service_account_json",
		prefix + ".aws.secret_access_key", prefix + ".aws.session_token",
	}
}

// Fields returns the encrypted paths of a plugin, for documentation and tests.
func Fields(plugin string, section Section) []string {
	return fields[plugin][section]
}
