// Package redis lets plugins keep counters in Redis: one server, a cluster or a
// master that sentinels know. Requests of all loops are sent in pipelines by a
// few goroutines, so that a slow Redis holds up those who asked and nobody
// else.
package redis

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Config is how Redis is reached: the fields that begin with redis_ and
// sentinel_ in a plugin's configuration, as APISIX names them.
type Config struct {
	// Policy is redis, redis-cluster or redis-sentinel.
	Policy string `json:"policy"`

	Host      string `json:"redis_host,omitempty"`
	Port      int    `json:"redis_port,omitempty"`
	Username  string `json:"redis_username,omitempty"`
	Password  string `json:"redis_password,omitempty"`
	Database  int    `json:"redis_database,omitempty"`
	Timeout   int    `json:"redis_timeout,omitempty"` // milliseconds, each for connecting, reading, writing
	SSL       bool   `json:"redis_ssl,omitempty"`
	SSLVerify bool   `json:"redis_ssl_verify,omitempty"`
	// IdleTimeout is in milliseconds, PoolSize in connections.
	IdleTimeout int `json:"redis_keepalive_timeout,omitempty"`
	PoolSize    int `json:"redis_keepalive_pool,omitempty"`

	ClusterNodes  []string `json:"redis_cluster_nodes,omitempty"`
	ClusterSSL    bool     `json:"redis_cluster_ssl,omitempty"`
	ClusterVerify bool     `json:"redis_cluster_ssl_verify,omitempty"`

	Sentinels []struct {
		Host string `json:"host"`
		Port int    `json:"port"`
	} `json:"redis_sentinels,omitempty"`
	MasterName       string `json:"redis_master_name,omitempty"`
	Role             string `json:"redis_role,omitempty"`
	ConnectTimeout   int    `json:"redis_connect_timeout,omitempty"` // milliseconds
	ReadTimeout      int    `json:"redis_read_timeout,omitempty"`    // milliseconds
	SentinelUsername string `json:"sentinel_username,omitempty"`
	SentinelPassword string `json:"sentinel_password,omitempty"`
}

// ParseConfig reads the part of a plugin's configuration that concerns Redis;
// nil when its policy is another.
func ParseConfig(raw json.RawMessage) (*Config, error) {
	c := &Config{Port: 6379, Timeout: 1000, ConnectTimeout: 1000, ReadTimeout: 1000, IdleTimeout: 10000, PoolSize: 100}
	if err := json.Unmarshal(raw, c); err != nil {
		return nil, err
	}
	switch c.Policy {
	case "redis", "redis-cluster", "redis-sentinel":
		return c, nil
	}
	return nil, nil
}

// identity is equal for configurations that may share connections.
func (c *Config) identity() string {
	raw, err := json.Marshal(c)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(raw)
}

func millis(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// patience is how long a call may wait for its turn and then for its answer.
func (c *Config) patience() time.Duration {
	if c.Policy == "redis-sentinel" {
		return millis(c.ConnectTimeout + c.ReadTimeout)
	}
	return millis(c.Timeout)
}

// dial makes the client; it connects when it is used.
func (c *Config) dial() (redis.UniversalClient, error) {
	idle, quiet := millis(c.IdleTimeout), &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	limit := millis(c.Timeout)
	pool := min(max(c.PoolSize, workers), 2*workers)
	switch c.Policy {
	case "redis":
		o := &redis.Options{
			Addr: net.JoinHostPort(c.Host, strconv.Itoa(c.Port)), Username: c.Username, Password: c.Password, DB: c.Database,
			DialTimeout: limit, ReadTimeout: limit, WriteTimeout: limit, PoolTimeout: limit,
			ConnMaxIdleTime: idle, PoolSize: pool, MaxRetries: -1, DisableIdentity: true, MaintNotificationsConfig: quiet,
		}
		if c.SSL {
			o.TLSConfig = tlsConfig(c.Host, c.SSLVerify)
		}
		return redis.NewClient(o), nil
	case "redis-cluster":
		o := &redis.ClusterOptions{
			Addrs: c.ClusterNodes, Username: c.Username, Password: c.Password,
			DialTimeout: limit, ReadTimeout: limit, WriteTimeout: limit, PoolTimeout: limit,
			ConnMaxIdleTime: idle, PoolSize: pool, MaxRetries: -1, DisableIdentity: true, MaintNotificationsConfig: quiet,
		}
		if c.ClusterSSL {
			o.TLSConfig = tlsConfig("", c.ClusterVerify)
		}
		return redis.NewClusterClient(o), nil
	case "redis-sentinel":
		o := &redis.FailoverOptions{
			MasterName: c.MasterName, SentinelUsername: c.SentinelUsername, SentinelPassword: c.SentinelPassword,
			Username: c.Username, Password: c.Password, DB: c.Database, ReplicaOnly: c.Role == "slave",
			DialTimeout: millis(c.ConnectTimeout), ReadTimeout: millis(c.ReadTimeout), WriteTimeout: millis(c.ReadTimeout),
			PoolTimeout: millis(c.ConnectTimeout), ConnMaxIdleTime: idle, PoolSize: 2 * workers, MaxRetries: -1, DisableIdentity: true,
		}
		for _, s := range c.Sentinels {
			o.SentinelAddrs = append(o.SentinelAddrs, net.JoinHostPort(s.Host, strconv.Itoa(s.Port)))
		}
		return redis.NewFailoverClient(o), nil
	}
	return nil, fmt.Errorf("policy %q does not use Redis", c.Policy)
}

func tlsConfig(host string, verify bool) *tls.Config {
	return &tls.Config{ServerName: host, InsecureSkipVerify: !verify, MinVersion: tls.VersionTLS12} //nolint:gosec // as the user wants it
}
