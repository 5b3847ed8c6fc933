package conf

// What this gateway adds to APISIX's resources. Everything below is optional:
// an object that APISIX accepts is accepted here with the same meaning.

// UpstreamTypes are the balancing policies.
var UpstreamTypes = []string{"roundrobin", "chash", "least_conn", "ewma", "weighted_least_conn", "emmie"}

// Ring constructions of consistent hashing (field hash_ring).
const (
	// RingXXHash is our own: 160 points per weight unit on xxHash.
	RingXXHash = "xxhash"
	// RingCRC32APISIX is bit for bit the ring of APISIX, for fleets in which
	// both serve the same upstream.
	RingCRC32APISIX = "crc32-apisix"
)

// DefaultBoundedLoad is bounded_load where it is not given.
const DefaultBoundedLoad = 1.25

// extensions are merged into the JSON Schema of the named resource.
var extensions = map[string]string{
	"upstream": `{"properties": {
		"hash_ring": {
			"type": "string", "enum": ["xxhash", "crc32-apisix"],
			"description": "construction of the hash ring; crc32-apisix places keys where APISIX places them; xxhash when absent"
		},
		"bounded_load": {
			"type": "number", "exclusiveMinimum": 1, "maximum": 100,
			"description": "type emmie: no node gets more than this many times the average load; 1.25 when absent"
		},
		"retry_on": {
			"type": "object", "additionalProperties": false, "minProperties": 1,
			"description": "further reasons to try another node",
			"properties": {
				"statuses": {
					"type": "array", "minItems": 1, "uniqueItems": true,
					"items": {"type": "integer", "minimum": 400, "maximum": 599}
				},
				"methods": {
					"type": "array", "uniqueItems": true,
					"items": {"type": "string", "enum": ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD",
						"OPTIONS", "CONNECT", "TRACE", "PURGE"]}
				}
			}
		},
		"retry_budget": {
			"type": "object", "additionalProperties": false,
			"description": "most retries as a share of the requests, plus a rate that is always allowed",
			"properties": {
				"percent": {"type": "number", "minimum": 0, "maximum": 100, "default": 20},
				"min_per_second": {"type": "number", "minimum": 0, "maximum": 1000000, "default": 10}
			}
		},
		"warm_up_conf": {
			"type": "object", "additionalProperties": false, "required": ["slow_start_time_seconds"],
			"description": "a new node's share of the traffic grows from min_weight_percent to its full weight",
			"properties": {
				"slow_start_time_seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 86400},
				"min_weight_percent": {"type": "number", "minimum": 1, "maximum": 100, "default": 10},
				"interval": {"type": "number", "minimum": 1, "maximum": 3600, "default": 1},
				"aggression": {"type": "number", "exclusiveMinimum": 0, "maximum": 100, "default": 1},
				"startup_grace_period_seconds": {"type": "number", "minimum": 0, "maximum": 86400}
			}
		}
	}}`,
}
