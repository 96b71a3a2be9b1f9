package observe_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/perdure/perdure/gateway/internal/observe"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
)

const file = `
services:
- name: weather
  host: 127.0.0.1
  port: PORT
  routes:
  - name: secure
    hosts: [api.test]
    paths: [/weather/secure]
    strip_path: false
    plugins:
    - name: jwt
      config: {claims_to_verify: [exp], audience: [api]}
    - name: rate-limiting
      config: {minute: 2}
  - name: staff
    hosts: [api.test]
    paths: [/staff]
    plugins:
    - name: key-auth
    - name: acl
      config: {allow: [staff]}
  - name: office
    paths: [/office]
    plugins:
    - name: ip-restriction
      config: {allow: [10.0.0.0/8]}
  - name: open
    methods: [GET]
    paths: [/open]
    strip_path: false
- name: down
  host: 127.0.0.1
  port: 1
  routes:
  - {name: down, paths: [/down]}
consumers:
- username: ann
  jwt_secrets: [{key: "http://issuer/", algorithm: HS256, secret: s3cret-of-ann}]
  keyauth_credentials: [{key: key-of-ann}]
  acls: [{group: sales}]
plugins:
- name: prometheus
- name: cors
  config: {origins: [https://app.test, https://other.test]}
`

var now = float64(plugintest.Start.Unix())

func newFile(t testing.TB, o options) *world { return newWorld(t, file, o) }

// TestVerdicts: a request that was refused has the same reason in a dry run and afterwards, and it says what would mend it.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	bearer := func(header, c claims) string { return "Authorization: Bearer " + token("s3cret-of-ann", header, c) }
	good := claims{"iss": "http://issuer/", "aud": "api", "exp": now + 3600, "sub": "ann@example.test"}
	with := func(name string, value any) claims {
		c := claims{}
		for k, v := range good {
			c[k] = v
		}
		if c[name] = value; value == nil {
			delete(c, name)
		}
		return c
	}
	from := "X-Forwarded-For: 203.0.113.7"
	w := newFile(t, options{})
	var logged []string
	for request, tt := range map[string]struct {
		status int
		fields []string
		want   string
	}{
		"GET /weather/secure": {401, nil, `refused with 401 by jwt: there is no token: it was looked for in the header authorization, the query's jwt`},
		"GET /weather/secure?basic": {401, []string{"Authorization: Basic YTpi"},
			`refused with 401 by jwt: there is no token: it was looked for in the header authorization, which does not begin with "Bearer ", the query's jwt`},
		"GET /weather/secure?slash": {401, []string{bearer(nil, with("iss", "http://issuer"))},
			`refused with 401 by jwt: no jwt credential has the key "http://issuer", which is the token's iss; there is "http://issuer/", which differs by the slash at the end`},
		"GET /weather/secure?scheme": {401, []string{bearer(nil, with("iss", "https://Issuer/"))},
			`refused with 401 by jwt: no jwt credential has the key "https://Issuer/", which is the token's iss; there is "http://issuer/", which differs by the scheme (http, not https) and capital letters`},
		"GET /weather/secure?other": {401, []string{bearer(nil, with("iss", "nobody"))},
			`refused with 401 by jwt: no jwt credential has the key "nobody", which is the token's iss`},
		"GET /weather/secure?number": {401, []string{bearer(nil, with("iss", 7))}, `refused with 401 by jwt: the token's iss is 7, and no text`},
		"GET /weather/secure?noiss": {401, []string{bearer(nil, with("iss", nil))},
			`refused with 401 by jwt: the token has no iss, by which its credential would be found (key_claim_name)`},
		"GET /weather/secure?expired": {401, []string{bearer(nil, with("exp", now-7200))},
			`refused with 401 by jwt: the token expired 7200 s (2h0m0s) ago, at 2026-05-17T08:30:40Z`},
		"GET /weather/secure?aud": {401, []string{bearer(nil, with("aud", "api/"))},
			`refused with 401 by jwt: the token's aud is api/, and none of api; "api" differs by the slash at the end`},
		"GET /weather/secure?noaud": {401, []string{bearer(nil, with("aud", nil))}, `refused with 401 by jwt: the token has no aud, and must be for api`},
		"GET /weather/secure?alg": {401, []string{bearer(claims{"alg": "RS256"}, good)},
			`refused with 401 by jwt: the token is signed by RS256, and the credential "http://issuer/" is for HS256`},
		"GET /weather/secure?none": {401, []string{bearer(claims{"alg": "none"}, good)},
			`refused with 401 by jwt: the token cannot be read: its alg is "none", and is none of those that there are`},
		"GET /weather/secure?signature": {401, []string{"Authorization: Bearer " + token("another", nil, good)},
			`refused with 401 by jwt: the signature is not by the key of the credential "http://issuer/": the secrets differ`},
		"GET /weather/secure?opaque": {401, []string{"Authorization: Bearer 0123456789abcdef0123"},
			`refused with 401 by jwt: the token cannot be read: it is no JWT, which has three parts with dots between them; this has 1`},
		"GET /weather/secure?jwt=eyJhbGciOiJub25lIn0.eyJpc3MiOiJhIn0.x": {401, []string{bearer(nil, good)},
			`refused with 401 by jwt: there are several different tokens, in the query's jwt, the header authorization`},
		"GET /staff":        {401, nil, `refused with 401 by key-auth: there is no key: it was looked for in the header apikey, the query's apikey`},
		"GET /staff?apikey": {401, nil, `refused with 401 by key-auth: the key in the query's apikey is empty`},
		"GET /staff?apikey=unknown-key": {401, nil,
			`refused with 401 by key-auth: no credential has the key in the query's apikey, which has 11 characters`},
		"GET /staff?quoted": {401, []string{`Apikey: "key-of-ann"`},
			`refused with 401 by key-auth: no credential has the key in the header apikey, which has 12 characters; one has it without the blanks or quotes around it`},
		"GET /staff?bearer": {401, []string{"Apikey: Bearer key-of-ann"},
			`refused with 401 by key-auth: no credential has the key in the header apikey, which has 17 characters; one has it without the word in front of it`},
		"GET /staff?acl": {403, []string{"Apikey: key-of-ann"},
			`refused with 403 by acl: the consumer "ann" is in the groups (sales), and is in none of the groups that are allowed: staff`},
		"GET /office": {403, []string{from},
			`refused with 403 by ip-restriction: the address 203.0.113.7, which the trusted proxy 127.0.0.1 says in X-Forwarded-For, is none of those that are allowed: 10.0.0.0/8`},
		"GET /Open":  {404, nil, `answered with 404 by the gateway: no route matches GET api.test/Open; the nearest is "open" (kong.yml:29): the path /Open differs from /open in capital letters`},
		"POST /open": {404, nil, `answered with 404 by the gateway: no route matches POST api.test/open; the nearest is "open" (kong.yml:29): the method POST is none of GET`},
		"GET /zzz":   {404, nil, `answered with 404 by the gateway: no route matches GET api.test/zzz; the nearest is "secure" (kong.yml:8): the path /zzz does not match /weather/secure`},
	} {
		if got := w.dry(request, tt.fields...).Verdict; got != tt.want {
			t.Errorf("%s: the dry run says\n%s, want\n%s", request, got, tt.want)
		}
		if r := w.do(request, tt.fields...); r.StatusCode != tt.status {
			t.Errorf("%s: answered %d, want %d", request, r.StatusCode, tt.status)
		}
		past := w.past()
		if past.Verdict != tt.want || past.Stale || past.Answer.Status != tt.status || past.Answer.By != "gateway" {
			t.Errorf("%s: afterwards it is\n%+v, want\n%s", request, past, tt.want)
		}
		reason := "no Route matched with those values"
		if tt.status != 404 {
			_, reason, _ = strings.Cut(tt.want, ": ")
		}
		logged = append(logged, reason)
	}
	for i, l := range parse(t, w.written()) {
		if l.Reason != logged[i] {
			t.Errorf("line %d has the reason\n%s, want\n%s", i, l.Reason, logged[i])
		}
	}
}

func TestOtherVerdicts(t *testing.T) {
	t.Parallel()
	w := newFile(t, options{recent: observe.RecentOptions{Sample: 1}})
	check := func(r *observe.Report, want string) {
		t.Helper()
		if got := stable(r.Verdict); got != want {
			t.Errorf("the verdict is\n%s, want\n%s", got, want)
		}
	}
	good := "Authorization: Bearer " + token("s3cret-of-ann", nil, claims{"iss": "http://issuer/", "aud": "api", "exp": now + 3600})
	for range 2 {
		w.do("GET /weather/secure", good)
	}
	check(w.past(), `answered with 200 by the upstream UPSTREAM of the service "weather"`)
	w.do("GET /weather/secure", good)
	const limit = `refused with 429 by rate-limiting: the consumer "ann" had used 2 of 2 in this minute: the limit is reached; the minute ends in 20s, at 2026-05-17T10:31:00Z`
	check(w.past(), limit)
	check(w.dry("GET /weather/secure", good), limit)
	w.do("GET /down")
	check(w.past(), `answered with 502 by the gateway, since the upstream UPSTREAM of the service "down" gave no answer: dial tcp UPSTREAM: connect: connection refused`)
	check(w.dry("GET /down"), `would go to the upstream UPSTREAM of the service "down"`)
	w.do("OPTIONS /office", "Origin: https://evil.test", "Access-Control-Request-Method: GET")
	check(w.past(), "answered with 200 by the gateway")
	w.do("GET /open", "Origin: https://app.test")
	check(w.past(), `answered with 200 by the upstream UPSTREAM of the service "weather"`)
	if got := w.dry("GET /open", "Origin: https://evil.test").Plugins[0]; got.Name != "cors" || got.Decision != observe.Passed ||
		!strings.Contains(got.Reasons[0], `"https://evil.test" is not allowed, so that a browser does not show the answer to its pages; these are: https://app.test, https://other.test`) {
		t.Errorf("cors has %+v", got)
	}
	preflight := w.dry("OPTIONS /office", "Origin: https://evil.test", "Access-Control-Request-Method: GET")
	if preflight.Plugins[0].Decision != observe.Answered || !strings.HasPrefix(preflight.Verdict, `answered with 200 by cors: answers the preflight request: the origin "https://evil.test" is not allowed`) {
		t.Errorf("the preflight is %+v", preflight)
	}
	if preflight = w.dry("GET /open", "Origin: https://app.test"); preflight.Plugins[0].Reasons[0] != `the origin "https://app.test" is allowed` {
		t.Errorf("cors has %+v", preflight.Plugins[0])
	}
	w.do("GET /weather/secure/x", good)
	if got := w.recent.List(observe.Filter{Status: 4, Route: "secure"}); len(got) != 2 || got[0].RefusedBy != "rate-limiting" || got[0].Path != "/weather/secure/x" {
		t.Errorf("the list is %+v", got)
	}
	if got := w.recent.List(observe.Filter{Status: http.StatusBadGateway}); len(got) != 1 || got[0].Route != "down" || !strings.HasPrefix(got[0].Reason, "dial tcp") {
		t.Errorf("the list is %+v", got)
	}
}

// TestText: the verdict comes first, and then all that was found out, aligned.
func TestText(t *testing.T) {
	t.Parallel()
	w := newFile(t, options{})
	fields := []string{
		"Authorization: Bearer " + token("s3cret-of-ann", nil, claims{"iss": "http://issuer", "aud": []string{"api", "b"}, "exp": now + 60, "nbf": now - 60, "sub": "ann", "email": "ann@example.test"}),
		"User-Agent: curl/8", "X-Forwarded-For: 203.0.113.7", "X-Unknown: what is this",
	}
	const reason = `no jwt credential has the key "http://issuer", which is the token's iss; there is "http://issuer/", which differs by the slash at the end`
	want := `refused with 401 by jwt: ` + reason + `

request     GET http://api.test/weather/secure?token=[redacted]&units=c (HTTP/1.1), 2026-05-17 10:30:40.000 UTC
id          ID
client      203.0.113.7, by the proxy 127.0.0.1
fields      User-Agent: curl/8
            X-Forwarded-For: 203.0.113.7
credential  header Authorization: Bearer, N bytes, digest D
              alg HS256; kid k1; iss http://issuer; aud api, b; exp 2026-05-17T10:31:40Z (1m0s after); nbf 2026-05-17T10:29:40Z (1m0s before)
            query token, N bytes, digest D
route       secure (kong.yml:8): host api.test, path /weather/secure
service     weather (kong.yml:4): http://UPSTREAM
plugins     cors           passed
            jwt            refused       ` + reason + `
            rate-limiting  not asked
            prometheus     answers only
consumer    nobody is known
upstream    not asked
answer      401 by the gateway, N bytes, after T ms
`
	got := stable(w.dry("GET /weather/secure?token=abc&units=c", fields...).String())
	if dry := strings.Replace(want, "2026-05-17 10:30:40.000 UTC", "nobody has sent it", 1); sorted(got) != sorted(dry) {
		t.Errorf("the dry run is\n%s, want\n%s", got, dry)
	}
	w.do("GET /weather/secure?token=abc&units=c", append(fields, "Accept-Encoding: identity")...)
	got = strings.Replace(stable(w.past().String()), "            Accept-Encoding: identity\n", "", 1)
	if sorted(got) != sorted(want) {
		t.Errorf("afterwards it is\n%s, want\n%s", got, want)
	}
}

// sorted brings the header fields into one order: a dry run has them of a map.
func sorted(text string) string {
	return strings.Replace(text, "fields      X-Forwarded-For: 203.0.113.7\n            User-Agent: curl/8\n",
		"fields      User-Agent: curl/8\n            X-Forwarded-For: 203.0.113.7\n", 1)
}

// A consumer may have settings of its own, which the report leads to.
func TestPluginOfConsumer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `
services:
- name: s
  host: 127.0.0.1
  port: PORT
  routes: [{name: r, paths: [/]}]
plugins:
- {name: key-auth, config: {anonymous: bob}}
- {name: rate-limiting, config: {minute: 5}}
- {name: request-size-limiting, config: {allowed_payload_size: 10, size_unit: bytes}}
consumers:
- username: bob
- username: ann
  keyauth_credentials: [{key: key-of-ann}]
  plugins:
  - {name: rate-limiting, config: {minute: 1}}
`, options{})
	for key, want := range map[string]string{"key-of-ann": "kong.yml:17", "": "kong.yml:10"} {
		r := w.dry("GET /", "Apikey: "+key)
		if p := r.Plugins[2]; p.Name != "rate-limiting" || p.Source != want || p.Decision != observe.Passed || len(p.Reasons) != 1 {
			t.Errorf("the plugin of %q is %+v, want that of %s", key, p, want)
		}
		if anonymous := strings.Contains(r.String(), "bob (kong.yml:13), as who has no credential"); anonymous != (key == "") {
			t.Errorf("the report of %q is\n%s", key, r)
		}
	}
	r := w.request("POST /")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader("more than ten bytes")), -1
	answer, err := w.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close() // the head is enough
	<-w.ended
	if got := w.past(); got.Verdict != "refused with 413 by the gateway: request body: body is larger than its limit" {
		t.Errorf("the verdict is %s", got)
	}
}

// A request whose handler panics is told of as well.
func TestPanic(t *testing.T) {
	t.Parallel()
	w := newFile(t, options{app: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("PLANTED") })})
	if r, err := w.client.Do(w.request("GET /open")); err == nil {
		_ = r.Body.Close() // there should be none
		t.Errorf("answered %d", r.StatusCode)
	}
	<-w.ended
	past := w.past()
	if want := `answered with 500 by the gateway, since the app in this process of the service "weather" gave no answer: the request's handler panicked`; past.Verdict != want {
		t.Errorf("the verdict is\n%s, want\n%s", past.Verdict, want)
	}
	if lines := parse(t, w.written()); len(lines) != 1 || lines[0].Status != 500 || lines[0].Error != "the request's handler panicked" {
		t.Errorf("the log has %+v", lines)
	}
}

// Fields that plugins have set are not told as the client's, and a dry run uses no number up.
func TestAddedFields(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `
services:
- {name: down, host: 127.0.0.1, port: 1, routes: [{name: down, paths: [/]}]}
plugins:
- {name: correlation-id, config: {header_name: X-Request-ID}}
- {name: request-transformer, config: {add: {headers: ["Accept-Language:de"]}, append: {headers: ["Forwarded:for=x"]}}}
`, options{traces: observe.NewTraces(sdk.NewTracerProvider())})
	for range 3 {
		if got := w.dry("GET /").String(); !strings.Contains(got, "#1 (added by the gateway)\n") {
			t.Errorf("the dry run is\n%s", got)
		}
	}
	w.do("GET /", "User-Agent: curl/8")
	past := w.past()
	added := map[string]bool{}
	for _, f := range past.Request.Fields {
		added[f.Name] = f.Added
	}
	for name, want := range map[string]bool{"X-Request-ID": true, "Accept-Language": true, "Forwarded": true, "traceparent": true, "User-Agent": false} {
		if got, there := added[name]; !there || got != want {
			t.Errorf("%s is told %t, as added %t, want %t", name, there, got, want)
		}
	}
	if !strings.Contains(past.String(), "#1 (added by the gateway)\n") {
		t.Errorf("the report is\n%s", past)
	}
	w.do("GET /", "User-Agent: curl/8", "X-Request-ID: mine")
	if got := w.past().String(); !strings.Contains(got, "X-Request-ID: mine\n") && !strings.Contains(got, "X-Request-Id: mine\n") {
		t.Errorf("the report is\n%s", got)
	}
}
