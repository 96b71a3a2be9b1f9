package admin_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/admin"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/kongfile"
	"github.com/perdure/perdure/gateway/internal/plugin/all"
)

// certificate is a certificate for weather.example.com with its key, in PEM.
var certificate = sync.OnceValues(func() (cert, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "weather.example.com"}, DNSNames: []string{"weather.example.com"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		panic(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
})

const certificateID = "0c6f96c0-efd6-5962-aa61-d898e93a9df4"

// configured is the configuration of testdata, with certificates.
func configured(t testing.TB) *entity.Config {
	t.Helper()
	text, err := os.ReadFile("testdata/kong.yml")
	if err != nil {
		t.Fatal(err)
	}
	config, problems := kongfile.Parse("kong.yml", text)
	cert, key := certificate()
	c := &entity.Certificate{Cert: cert, Key: key}
	c.ID = certificateID
	config.Certificates = append(config.Certificates, c)
	config.SNIs = append(config.SNIs, &entity.SNI{Name: "weather.example.com", Certificate: entity.RefTo[entity.Certificate](certificateID)})
	config.CACertificates = append(config.CACertificates, &entity.CACertificate{Cert: cert})
	return compile(t, config, problems)
}

func compile(t testing.TB, config *entity.Config, problems []entity.Problem) *entity.Config {
	t.Helper()
	compiled, more := config.Compile(all.Registry())
	if problems = append(problems, more...); entity.Failed(problems) {
		t.Fatal(problems)
	}
	return compiled
}

// handler is the API over a configuration. Requests with the header Secrets see secrets.
func handler(config *entity.Config) *admin.Handler {
	return admin.New(admin.Options{
		Config: func() *entity.Config { return config }, Registry: all.Registry(), NodeID: "9a1f9c3e-7f5b-4ee1-9c4c-0f9d5f8f7e11",
		Secrets: func(r *http.Request) bool { return r.Header.Get("Secrets") != "" },
		Status: func() admin.Status {
			return admin.Status{Accepted: 7, Active: 2, Requests: 30, ConfigurationHash: "abc"}
		},
		Health: func(u *entity.Upstream) []admin.Health {
			return []admin.Health{
				{Target: "10.0.0.1:8000", State: admin.Unhealthy, Reason: "refused", Since: time.Unix(1_700_000_000, 0)},
				{Target: "10.0.0.2:8000", State: admin.Healthy},
				{Target: "backend.example.com:8000", State: admin.DNSError},
			}
		},
	})
}

// ask sends a request and decodes the answer into a value.
func ask(t testing.TB, h http.Handler, method, path string, into any, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(context.Background(), method, path, nil)
	for _, name := range header {
		r.Header.Set(name, "1")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s %s can be kept: %v", method, path, w.Header())
	}
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Errorf("%s %s: %v in %s", method, path, err, w.Body)
		}
	}
	return w
}

type list struct {
	Data   []map[string]any
	Offset string
	Next   *string
}

func (l list) values(field string) string {
	var values []string
	for _, e := range l.Data {
		values = append(values, fmt.Sprint(e[field]))
	}
	return strings.Join(values, " ")
}

// Every path of the list of endpoints answers, and is empty or not as it should be.
func TestLists(t *testing.T) {
	t.Parallel()
	h := handler(configured(t))
	for path, want := range map[string]int{
		"/services": 2, "/routes": 2, "/consumers": 2, "/plugins": 9, "/upstreams": 1, "/targets": 3, "/certificates": 1, "/ca_certificates": 1,
		"/snis": 1, "/key-auths": 2, "/jwts": 1, "/acls": 2, "/basic-auths": 0, "/hmac-auths": 0, "/oauth2": 0, "/mtls-auths": 0, "/keys": 0,
		"/key-sets": 0, "/vaults": 0, "/filter-chains": 0, "/consumer_groups": 0,
		"/services/weather/routes": 2, "/services/direct/routes": 0, "/services/direct/plugins": 1, "/routes/secure/plugins": 3,
		"/consumers/alice/jwt": 1, "/consumers/u-1/key-auth": 1, "/consumers/alice/acls": 2, "/consumers/alice/plugins": 1, "/consumers/alice/basic-auth": 0,
		"/consumers/alice/consumer_groups": 0, "/services/direct/filter-chains": 0,
		"/upstreams/weather.internal/targets": 3, "/upstreams/weather.internal/targets/all/": 3, "/upstreams/weather.internal/health": 3,
		"/certificates/weather.example.com/snis": 1, "/certificates/weather.example.com/services": 0, "/tags": 8, "/tags/weather": 3, "/tags/none": 0,
		"/services?tags=public": 1, "/services?tags=public,weather": 1, "/services?tags=public,none": 0, "/routes?tags=public/weather": 2, "/consumers?custom_id=u-1": 1,
		"/consumers?custom_id=none": 0,
	} {
		var l list
		if w := ask(t, h, "GET", path, &l); w.Code != 200 || len(l.Data) != want || l.Data == nil || l.Next != nil {
			t.Errorf("GET %s = %d, %d entities, want %d: %.200s", path, w.Code, len(l.Data), want, w.Body)
		}
	}
}

func TestOne(t *testing.T) {
	t.Parallel()
	config := configured(t)
	h := handler(config)
	for e := range config.All() {
		path := map[entity.Kind]string{entity.KeyAuths: "key-auths", entity.JWTs: "jwts"}[e.Kind()]
		if path == "" {
			path = string(e.Kind())
		}
		var got struct{ ID string }
		if ask(t, h, "GET", "/"+path+"/"+entity.MetaOf(e).ID, &got); got.ID != entity.MetaOf(e).ID {
			t.Errorf("%s is not at its id", entity.Describe(e))
		}
	}
	for path, want := range map[string]string{
		"/services/weather": "weather", "/routes/secure/service": "weather", "/services/weather/routes/secure": "secure", "/upstreams/weather.internal": "weather.internal",
		"/plugins/few": "rate-limiting", "/plugins/few/route": "secure", "/snis/weather.example.com": "weather.example.com",
	} {
		var got struct{ Name string }
		if ask(t, h, "GET", path, &got); got.Name != want {
			t.Errorf("GET %s = %q", path, got.Name)
		}
	}
	for path, want := range map[string]string{
		"/certificates/weather.example.com": certificateID, "/snis/weather.example.com/certificate": certificateID,
		"/consumers/u-1": config.Consumer("alice").ID, "/acls/" + config.ACLs[0].ID + "/consumer": config.Consumer("alice").ID,
		"/consumers/alice/acls/admins": config.ACLs[1].ID, "/upstreams/weather.internal/targets/10.0.0.2:8000": config.Targets[1].ID,
	} {
		var got struct{ ID string }
		if ask(t, h, "GET", path, &got); got.ID != want {
			t.Errorf("GET %s = %q, want %q", path, got.ID, want)
		}
	}
	for _, path := range []string{
		"/nothing", "/services/nothing", "/services/nothing/routes", "/services/weather/nothing", "/services/direct/routes/secure", "/routes/secure/plugins/nothing", "/services//",
		"/services/weather/routes/secure/service", "/upstreams/nothing/health", "/consumers/bob/acls/admins", "/plugins/enabled/more", "/status/nothing", "/keys/nothing",
		"/services/weather/client_certificate", "/tags/a/b", "/config/a", "/endpoints/a", "/schemas", "/a/b/c/d/e/f/g/h/i/j",
	} {
		var got struct{ Message string }
		if w := ask(t, h, "GET", path, &got); w.Code != 404 || got.Message != "Not found" {
			t.Errorf("GET %s = %d %s", path, w.Code, w.Body)
		}
	}
}

// Pages follow each other, also below a prefix and when an entity goes away between them.
func TestPages(t *testing.T) {
	t.Parallel()
	config := configured(t)
	h := handler(config)
	mounted := http.StripPrefix("/gateway/admin", h)
	seen, next := map[string]bool{}, "/plugins?size=2"
	for pages := 1; ; pages++ {
		var l list
		ask(t, mounted, "GET", "/gateway/admin"+next, &l)
		for _, e := range l.Data {
			seen[e["id"].(string)] = true
		}
		if l.Next == nil {
			if pages != 5 || l.Offset != "" {
				t.Errorf("the last is page %d with offset %q", pages, l.Offset)
			}
			break
		}
		if next = *l.Next; !strings.HasPrefix(next, "/plugins?") || !strings.Contains(next, "size=2") || !strings.Contains(next, l.Offset) {
			t.Fatalf("next is %q", next)
		}
	}
	if len(seen) != len(config.Plugins) {
		t.Errorf("%d of %d were seen", len(seen), len(config.Plugins))
	}
	var all, tagged, rest list
	ask(t, h, "GET", "/targets", &all)
	ask(t, h, "GET", "/upstreams/weather.internal/targets?size=1", &tagged)
	if tagged.Next == nil || !strings.HasPrefix(*tagged.Next, "/upstreams/weather.internal/targets?offset=") {
		t.Fatalf("next is %v", tagged.Next)
	}
	smaller := *config
	for i, target := range smaller.Targets {
		if target.ID == tagged.Data[0]["id"] {
			smaller.Targets = append(append([]*entity.Target{}, smaller.Targets[:i]...), smaller.Targets[i+1:]...)
			break
		}
	}
	if ask(t, handler(&smaller), "GET", "/targets?offset="+tagged.Offset, &rest); all.values("id") != tagged.values("id")+" "+rest.values("id") {
		t.Errorf("%s, then %s; want %s", tagged.values("id"), rest.values("id"), all.values("id"))
	}
	ask(t, h, "GET", "/tags?size=4", &all)
	ask(t, h, "GET", *all.Next, &rest)
	if len(all.Data) != 4 || len(rest.Data) != 4 || all.values("tag") > rest.values("tag") {
		t.Errorf("tags %s, then %s", all.values("tag"), rest.values("tag"))
	}
	for query, want := range map[string]string{
		"size=0": "size must be an integer between 1 and 1000", "size=1001": "size must be an integer between 1 and 1000", "size=-1": "size must be an integer between 1 and 1000",
		"size=x": "size must be a number", "size=": "size must be a number", "offset=!!": "'!!' is not a valid offset: bad base64 encoding",
		"tags=": "invalid option (tags: invalid filter syntax)", "tags=a,b/c": "invalid option (tags: invalid filter syntax)", "tags=,a": "invalid option (tags: invalid filter syntax)",
		"a=%zz": "the query is malformed",
	} {
		var got struct {
			Message string
			Code    int
		}
		if w := ask(t, h, "GET", "/services?"+query, &got); w.Code != 400 || got.Message != want {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
	if w := ask(t, h, "GET", "/services?tags="+strings.Repeat("a", 9000), nil); w.Code != 414 {
		t.Errorf("a long query: %d", w.Code)
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	h := handler(configured(t))
	for _, c := range []struct{ method, path, want string }{
		{"POST", "/services", "cannot create 'services' entities when not using a database"},
		{"PUT", "/consumers/alice/jwt/x", "cannot create or update 'jwt_secrets' entities when not using a database"},
		{"PATCH", "/key-auths/x", "cannot update 'keyauth_credentials' entities when not using a database"},
		{"DELETE", "/routes/secure", "cannot remove 'routes' entities when not using a database"},
		{"POST", "/vaults", "cannot create 'vaults' entities when not using a database"},
		{"POST", "/status", "Method not allowed"}, {"TRACE", "/services", "Method not allowed"}, {"POST", "/config", "Method not allowed"},
	} {
		var got struct{ Message string }
		if w := ask(t, h, c.method, c.path, &got); w.Code != 405 || got.Message != c.want || w.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("%s %s = %d %s %v", c.method, c.path, w.Code, w.Body, w.Header())
		}
	}
	if w := ask(t, h, "POST", "/nothing", nil); w.Code != 404 {
		t.Errorf("POST /nothing = %d", w.Code)
	}
	if w := ask(t, h, "OPTIONS", "/services", nil); w.Code != 204 || w.Header().Get("Allow") != "GET, HEAD, OPTIONS" || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("OPTIONS = %d %v", w.Code, w.Header())
	}
	get, head := ask(t, h, "GET", "/services", nil), ask(t, h, "HEAD", "/services", nil)
	if head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("Content-Length") != fmt.Sprint(get.Body.Len()) {
		t.Errorf("HEAD = %d %v", head.Code, head.Header())
	}
}

// No answer has a secret unless the request may see them, and none can be tried.
func TestSecrets(t *testing.T) {
	t.Parallel()
	config := configured(t)
	h := handler(config)
	_, key := certificate()
	key = strings.Split(key, "\n")[1]
	secrets := []string{"jwt-secret", "key-secret", "other-secret", "c2VjcmV0", "upstream-secret", "route-secret", key}
	paths := []string{"/config", "/", "/status", "/tags"}
	for _, p := range []string{"services", "routes", "consumers", "plugins", "upstreams", "targets", "certificates", "snis", "ca_certificates", "key-auths", "jwts", "acls"} {
		paths = append(paths, "/"+p)
	}
	paths = append(paths, "/consumers/alice/key-auth", "/jwts/"+config.JWTs[0].ID, "/consumers/alice/jwt/"+config.JWTs[0].ID, "/certificates/weather.example.com",
		"/snis/weather.example.com/certificate", "/routes/secure", "/services/weather/routes", "/services/weather/plugins", "/upstreams/weather.internal",
		"/key-auths/"+config.KeyAuths[0].ID)
	shown := map[string]bool{}
	for _, path := range paths {
		hidden, open := ask(t, h, "GET", path, nil), ask(t, h, "GET", path, nil, "Secrets")
		for _, secret := range secrets {
			if bytes.Contains(hidden.Body.Bytes(), []byte(secret)) {
				t.Errorf("GET %s shows %q: %s", path, secret, hidden.Body)
			}
			if bytes.Contains(open.Body.Bytes(), []byte(secret)) {
				shown[secret] = true
				if !bytes.Contains(hidden.Body.Bytes(), []byte("{redacted")) {
					t.Errorf("GET %s does not say that something is left out: %s", path, hidden.Body)
				}
			}
		}
	}
	for _, secret := range secrets {
		if !shown[secret] {
			t.Errorf("%q is not shown to whom may see it", secret)
		}
	}
	for _, path := range []string{"/key-auths/key-secret", "/consumers/alice/key-auth/key-secret"} {
		if w := ask(t, h, "GET", path, nil); w.Code != 404 {
			t.Errorf("GET %s = %d", path, w.Code)
		}
		if w := ask(t, h, "GET", path, nil, "Secrets"); w.Code != 200 {
			t.Errorf("GET %s with secrets = %d", path, w.Code)
		}
	}
	if config.KeyAuths[0].Key != "key-secret" || config.Upstreams[0].Healthchecks.Active.Headers["Authorization"][0] != "Bearer upstream-secret" {
		t.Error("the configuration was changed")
	}
	var p struct {
		Config struct{ Add struct{ Headers []string } }
	}
	var l list
	ask(t, h, "GET", "/services/weather/plugins", &l)
	ask(t, h, "GET", "/plugins/"+l.Data[0]["id"].(string), &p)
	if got := fmt.Sprint(p.Config.Add.Headers); got != "[Authorization:{redacted} X-Color:blue]" {
		t.Errorf("the headers are %s", got)
	}
}

func TestInformation(t *testing.T) {
	t.Parallel()
	h := handler(configured(t))
	var root struct {
		Version, Tagline string
		NodeID           string `json:"node_id"`
		Plugins          struct {
			Available map[string]struct {
				Version  string
				Priority int
			} `json:"available_on_server"`
			Enabled []string `json:"enabled_in_cluster"`
		}
		Configuration struct{ Database string }
	}
	ask(t, h, "GET", "/", &root)
	if root.Version != "3.9.0" || root.Configuration.Database != "off" || root.NodeID == "" || root.Plugins.Available["jwt"].Priority != 1450 || len(root.Plugins.Enabled) != 9 {
		t.Errorf("/ is %+v", root)
	}
	var status struct {
		Database struct{ Reachable bool }
		Server   map[string]int
		Hash     string `json:"configuration_hash"`
	}
	ask(t, h, "GET", "/status", &status)
	if !status.Database.Reachable || status.Server["connections_accepted"] != 7 || status.Server["total_requests"] != 30 || status.Hash != "abc" {
		t.Errorf("/status is %+v", status)
	}
	if w := ask(t, h, "GET", "/status/ready", nil); w.Code != 200 {
		t.Errorf("/status/ready = %d", w.Code)
	}
	var enabled struct {
		Enabled []string `json:"enabled_plugins"`
	}
	if ask(t, h, "GET", "/plugins/enabled", &enabled); len(enabled.Enabled) != len(all.Registry().Names()) {
		t.Errorf("/plugins/enabled is %+v", enabled)
	}
	var endpoints struct{ Data []string }
	if ask(t, h, "GET", "/endpoints", &endpoints); len(endpoints.Data) < 50 || endpoints.Data[0] != "/" {
		t.Errorf("/endpoints is %q", endpoints.Data)
	}

	none := admin.New(admin.Options{Config: func() *entity.Config { return nil }, Registry: all.Registry()})
	for path, want := range map[string]int{"/": 200, "/status": 200, "/status/ready": 503, "/services": 200, "/services/a": 404, "/config": 200, "/tags": 200} {
		if w := ask(t, none, "GET", path, nil); w.Code != want {
			t.Errorf("without a configuration, GET %s = %d", path, w.Code)
		}
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	config := configured(t)
	h := handler(config)
	var l list
	ask(t, h, "GET", "/upstreams/weather.internal/health", &l)
	got := map[any]any{}
	for _, e := range l.Data {
		got[e["target"]] = e["health"]
	}
	if fmt.Sprint(got) != "map[10.0.0.1:8000:UNHEALTHY 10.0.0.2:8000:HEALTHY backend.example.com:8000:DNS_ERROR]" {
		t.Errorf("health is %v", got)
	}
	var whole struct{ Data struct{ ID, Health string } }
	ask(t, h, "GET", "/upstreams/weather.internal/health?balancer_health=1", &whole) // 50 of 150, 40 % are wanted
	if whole.Data.Health != admin.Unhealthy || whole.Data.ID != config.Upstreams[0].ID {
		t.Errorf("the upstream is %+v", whole)
	}
	unchecked := admin.New(admin.Options{Config: func() *entity.Config { return config }, Registry: all.Registry()})
	ask(t, unchecked, "GET", "/upstreams/weather.internal/health?balancer_health=1", &whole)
	if whole.Data.Health != admin.HealthchecksOff {
		t.Errorf("the upstream is %+v", whole)
	}
}

// What /config says, read as a file, is the same configuration.
func TestConfig(t *testing.T) {
	t.Parallel()
	config := configured(t)
	var dump struct{ Config string }
	ask(t, handler(config), "GET", "/config", &dump, "Secrets")
	parsed, problems := kongfile.Parse("dump.yml", []byte(dump.Config))
	if changes := entity.Diff(config, compile(t, parsed, problems)); len(changes) > 0 {
		t.Errorf("there are changes: %v", changes)
	}

	// What is shown without secrets gives nobody credentials that everybody knows.
	ask(t, handler(config), "GET", "/config", &dump)
	parsed, _ = kongfile.Parse("dump.yml", []byte(dump.Config))
	_, problems = parsed.Compile(all.Registry())
	refused := 0
	for _, p := range problems {
		if strings.Contains(p.Message, "the Admin API shows instead of a secret") {
			refused++
		}
	}
	if refused != 3 {
		t.Errorf("%d credentials are refused: %v", refused, problems)
	}
}

// Every kind has a schema, with the defaults that entities have, and so has every plugin.
func TestSchemas(t *testing.T) {
	t.Parallel()
	config := configured(t)
	h := handler(config)
	type schema struct{ Fields []map[string]map[string]any }
	field := func(s schema, name string) map[string]any {
		for _, f := range s.Fields {
			if f[name] != nil {
				return f[name]
			}
		}
		return nil
	}
	for e := range config.All() {
		var s schema
		var fields map[string]any
		ask(t, h, "GET", "/schemas/"+string(e.Kind()), &s)
		text, _ := json.Marshal(e)
		_ = json.Unmarshal(text, &fields)
		for name := range fields {
			if field(s, name) == nil && (e.Kind() != entity.Certificates || name != "snis") {
				t.Errorf("the schema of %s has no %s", e.Kind(), name)
			}
		}
	}
	var services, upstreams schema
	ask(t, h, "GET", "/schemas/services", &services)
	if f := field(services, "connect_timeout"); f["default"] != 60000.0 || f["type"] != "integer" || field(services, "host")["required"] != true {
		t.Errorf("the schema of services is %v", services)
	}
	ask(t, h, "GET", "/schemas/upstreams", &upstreams)
	if f := field(upstreams, "healthchecks"); f["type"] != "record" || len(f["fields"].([]any)) != 3 {
		t.Errorf("health checks are %v", f)
	}
	for _, name := range all.Registry().Names() {
		var whole, config schema
		ask(t, h, "GET", "/schemas/plugins/"+name, &whole)
		ask(t, h, "GET", "/plugins/schema/"+name, &config)
		if len(config.Fields) == 0 || len(field(whole, "config")["fields"].([]any)) != len(config.Fields) {
			t.Errorf("the schemas of %s are %v and %v", name, whole, config)
		}
	}
	for path, want := range map[string]string{
		"/schemas/vaults": "No entity named 'vaults'", "/schemas/plugins/nothing": "No plugin named 'nothing'", "/plugins/schema/nothing": "No plugin named 'nothing'",
	} {
		var got struct{ Message string }
		if w := ask(t, h, "GET", path, &got); w.Code != 404 || got.Message != want {
			t.Errorf("GET %s = %d %s", path, w.Code, w.Body)
		}
	}
}

func FuzzQuery(f *testing.F) {
	h := handler(configured(f))
	for _, seed := range []string{"size=1", "size=1&offset=YQ", "tags=a,b", "tags=a/b&size=2", "custom_id=u-1", "size=%zz"} {
		f.Add("consumers", seed)
	}
	f.Add("tags/weather", "offset=_w")
	f.Add("upstreams/weather.internal/health", "size=1&balancer_health=1")
	f.Fuzz(func(t *testing.T, path, query string) {
		r := httptest.NewRequestWithContext(context.Background(), "GET", "/", nil)
		r.URL.Path, r.URL.RawQuery = "/"+path, query
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 || !json.Valid(w.Body.Bytes()) || bytes.Contains(w.Body.Bytes(), []byte("key-secret")) {
			t.Errorf("GET %q?%q = %d %s", path, query, w.Code, w.Body)
		}
		var p list
		if w.Code == 200 && json.Unmarshal(w.Body.Bytes(), &p) == nil && p.Next != nil {
			next := httptest.NewRecorder()
			if h.ServeHTTP(next, httptest.NewRequestWithContext(context.Background(), "GET", *p.Next, nil)); next.Code != 200 {
				t.Errorf("next of %q?%q is %s: %d", path, query, *p.Next, next.Code)
			}
		}
	})
}
