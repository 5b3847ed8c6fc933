package e2e

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

// dump is what an APISIX installation of some years holds in etcd.
type dump struct {
	t    *testing.T
	node string
	// keys are in the order in which they were written.
	keys   []string
	values map[string]string
	// refused are objects that cannot be served, with a word of the reason.
	refused map[string]string
	// probes are requests that must be answered with a status.
	probes []probe
}

type probe struct {
	method, path string
	headers      []string
	status       int
}

// shippedKey encrypts what old installations encrypted with the key that
// APISIX ships.
const shippedKey = "qeddd145sfvddff3"

// apisixDump makes a dump whose upstreams lead to node.
func apisixDump(t *testing.T, node string) *dump {
	d := &dump{t: t, node: node, values: map[string]string{}, refused: map[string]string{}}
	for _, dir := range strings.Fields("routes upstreams services plugins consumers node_status ssls global_rules stream_routes protos plugin_metadata plugin_configs consumer_groups secrets") {
		d.raw(dir+"/", "init_dir")
	}
	d.upstreams()
	d.services()
	d.routes()
	d.people()
	d.certificates()
	d.rest()
	d.luaAndBroken()
	return d
}

func (d *dump) raw(key, value string) {
	d.keys = append(d.keys, key)
	d.values[key] = value
}

// put writes an object as APISIX stores it.
func (d *dump) put(key string, value map[string]any) {
	d.t.Helper()
	_, id, _ := strings.Cut(key, "/")
	if _, ok := value["id"]; !ok && !strings.HasPrefix(key, "consumers/") {
		value["id"] = id
	}
	value["create_time"], value["update_time"] = 1650000000+len(d.keys), 1700000000
	text, err := json.Marshal(value)
	if err != nil {
		d.t.Fatal(err)
	}
	d.raw(key, string(text))
}

// refuse writes an object that cannot be served.
func (d *dump) refuse(key, why string, value map[string]any) {
	d.put(key, value)
	d.refused[key] = why
}

func (d *dump) expect(status int, method, path string, headers ...string) {
	d.probes = append(d.probes, probe{method, path, headers, status})
}

type object = map[string]any

func (d *dump) nodes() object { return object{d.node: 1} }

// upstreams in every form that nodes were ever stored in.
func (d *dump) upstreams() {
	host, port, _ := strings.Cut(d.node, ":")
	for i := range 30 {
		u := object{"type": "roundrobin", "scheme": "http", "pass_host": "pass", "hash_on": "vars"}
		switch i % 6 {
		case 0:
			u["nodes"] = d.nodes()
		case 1:
			u["nodes"] = []object{{"host": host, "port": json.Number(port), "weight": 1, "priority": 0}}
		case 2:
			u["type"], u["key"] = "chash", "remote_addr"
			u["nodes"] = d.nodes()
		case 3:
			u["type"], u["nodes"] = "least_conn", d.nodes()
			u["timeout"] = object{"connect": 6, "send": 6, "read": 6}
			u["keepalive_pool"] = object{"size": 320, "idle_timeout": 60, "requests": 1000}
		case 4:
			u["type"], u["nodes"], u["retries"] = "ewma", d.nodes(), 2
			u["labels"] = object{"team": "payments", "env": "prod"}
		case 5:
			u["nodes"] = d.nodes()
			u["checks"] = object{
				"active": object{
					"type": "http", "http_path": "/", "timeout": 5, "concurrency": 10, "https_verify_certificate": true,
					"healthy":   object{"interval": 60, "successes": 1, "http_statuses": []int{200, 302}},
					"unhealthy": object{"interval": 60, "http_failures": 5, "tcp_failures": 2, "timeouts": 3, "http_statuses": []int{429, 500, 503}},
				},
				"passive": object{"type": "http", "healthy": object{"http_statuses": []int{200}, "successes": 0}, "unhealthy": object{"http_failures": 3}},
			}
		}
		d.put(fmt.Sprintf("upstreams/%d", i+1), u)
	}
	d.put("upstreams/00000000000000004711", object{"nodes": d.nodes(), "desc": "made by POST"})
}

func (d *dump) services() {
	for i := range 15 {
		s := object{"name": fmt.Sprintf("service-%d", i+1), "enable_websocket": i%2 == 0}
		switch i % 3 {
		case 0:
			s["upstream_id"] = fmt.Sprint(i + 1)
		case 1:
			s["upstream"] = object{"type": "roundrobin", "nodes": d.nodes()}
		case 2:
			s["upstream_id"] = i + 1 // old clients stored numbers
			s["hosts"] = []string{fmt.Sprintf("svc%d.example.com", i+1)}
		}
		d.put(fmt.Sprintf("services/%d", i+1), s)
	}
}

// routes of all shapes; each is asked for once.
func (d *dump) routes() {
	for i := range 150 {
		id, path := fmt.Sprintf("%d", i+1), fmt.Sprintf("/r%d", i+1)
		r := object{"uri": path, "status": 1, "priority": 0, "upstream_id": fmt.Sprint(i%30 + 1)}
		method, ask, headers := "GET", path, []string(nil)
		switch i % 10 {
		case 1:
			delete(r, "upstream_id")
			r["upstream"] = object{"type": "roundrobin", "scheme": "http", "nodes": d.nodes()}
		case 2:
			r["uri"], ask = path+"/*", path+"/deep/er"
			r["methods"] = []string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"}
		case 3:
			delete(r, "uri")
			r["uris"] = []string{path, path + "/alias"}
			r["hosts"], headers = []string{fmt.Sprintf("h%d.example.com", i), "*.wild.example.com"}, []string{"Host", "x.y.wild.example.com"}
		case 4:
			r["methods"], method = []string{"POST"}, "POST"
		case 5:
			r["vars"], ask = []any{[]any{"arg_version", "==", "v2"}, []any{"http_x_env", "~~", "^(prod|stage)$"}}, path+"?version=v2"
			headers = []string{"X-Env", "prod"}
		case 6:
			delete(r, "upstream_id")
			r["service_id"] = fmt.Sprint((i%15)/3*3 + 1)
		case 7:
			r["remote_addrs"] = []string{"127.0.0.0/8", "::1"}
			r["timeout"] = object{"connect": 3, "send": 3, "read": 3}
		case 8:
			r["plugins"] = object{"proxy-rewrite": object{"uri": "/backend", "headers": object{"set": object{"X-From": "apisix"}}}}
			r["desc"] = "rewritten"
		case 9:
			r["plugin_config_id"] = fmt.Sprint(i%10 + 1)
		}
		d.put("routes/"+id, r)
		d.expect(200, method, ask, headers...)
	}
	d.put("routes/off", object{"uri": "/off", "status": 0, "upstream_id": "1"})
	d.expect(404, "GET", "/off")
	d.put("routes/lost-service", object{"uri": "/lost-service", "service_id": "gone"})
	d.expect(404, "GET", "/lost-service")
	d.put("routes/lost-upstream", object{"uri": "/lost-upstream", "upstream_id": "gone"})
	d.expect(502, "GET", "/lost-upstream")
	d.put("routes/lost-config", object{"uri": "/lost-config", "plugin_config_id": "gone", "upstream_id": "1"})
	d.expect(503, "GET", "/lost-config")
}

// people are consumers, credentials and groups, keys encrypted and not.
func (d *dump) people() {
	for i := range 8 {
		d.put(fmt.Sprintf("consumer_groups/g%d", i+1), object{"plugins": object{"limit-count": object{
			"count": 1000, "time_window": 60, "rejected_code": 503, "group": fmt.Sprintf("services_g%d", i+1), "policy": "local", "key": "remote_addr", "key_type": "var",
		}}})
	}
	for i := range 40 {
		name := fmt.Sprintf("user%d", i+1)
		c := object{"username": name, "labels": object{"custom_id": fmt.Sprint(1000 + i)}}
		key := "plain-" + name
		switch i % 4 {
		case 0:
			c["plugins"] = object{"key-auth": object{"key": key}}
		case 1:
			c["plugins"] = object{"key-auth": object{"key": encrypt(d.t, key)}}
			c["group_id"] = fmt.Sprintf("g%d", i%8+1)
		case 2:
			c["plugins"] = object{"basic-auth": object{"username": name, "password": encrypt(d.t, "secret")}}
		case 3:
			c["plugins"] = object{}
		}
		d.put("consumers/"+name, c)
		if i%4 == 3 {
			d.put("consumers/"+name+"/credentials/cred1", object{"id": "cred1", "plugins": object{"key-auth": object{"key": encrypt(d.t, key)}}})
		}
	}
	d.put("routes/keyed", object{"uri": "/keyed", "upstream_id": "1", "plugins": object{"key-auth": object{}}})
	for _, n := range []int{1, 2, 4, 5, 6, 8} {
		d.expect(200, "GET", "/keyed", "apikey", fmt.Sprintf("plain-user%d", n))
	}
	d.expect(401, "GET", "/keyed")
	d.expect(401, "GET", "/keyed", "apikey", "plain-nobody")
	d.put("routes/basic", object{"uri": "/basic", "upstream_id": "1", "plugins": object{"basic-auth": object{}}})
	d.expect(200, "GET", "/basic", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("user3:secret")))
	d.expect(401, "GET", "/basic", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("user3:wrong")))
}

// encrypt is data_encryption of APISIX: AES-CBC with the key as IV too.
func encrypt(t *testing.T, text string) string {
	t.Helper()
	block, err := aes.NewCipher([]byte(shippedKey))
	if err != nil {
		t.Fatal(err)
	}
	pad := aes.BlockSize - len(text)%aes.BlockSize
	b := append([]byte(text), strings.Repeat(string(rune(pad)), pad)...)
	cipher.NewCBCEncrypter(block, []byte(shippedKey)).CryptBlocks(b, b)
	return base64.StdEncoding.EncodeToString(b)
}

func (d *dump) certificates() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		d.t.Fatal(err)
	}
	for i := range 10 {
		sni := fmt.Sprintf("s%d.example.com", i+1)
		tmpl := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: sni}, DNSNames: []string{sni},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
		if err != nil {
			d.t.Fatal(err)
		}
		keyDER, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			d.t.Fatal(err)
		}
		keyPEM := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}))
		if i%2 == 0 {
			keyPEM = encrypt(d.t, keyPEM)
		}
		s := object{
			"cert": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), "key": keyPEM,
			"snis": []string{sni}, "status": 1, "type": "server",
		}
		if i == 9 {
			delete(s, "snis")
			s["type"] = "client"
		}
		d.put(fmt.Sprintf("ssls/%d", i+1), s)
	}
	d.refuse("ssls/broken", "cert", object{"cert": strings.Repeat("not a certificate ", 10), "key": strings.Repeat("not a key ", 20), "sni": "b.example.com"})
}
