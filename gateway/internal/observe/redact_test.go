package observe_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/observe"
	"github.com/perdure/perdure/gateway/internal/plugin"
)

const secretFile = `
services:
- name: s
  host: 127.0.0.1
  port: PORT
  routes:
  - name: keys
    paths: [/keys]
    plugins: [{name: key-auth, config: {key_names: [X-Odd-Name, odd_parameter]}}]
  - name: tokens
    paths: [/tokens]
    plugins: [{name: jwt, config: {header_names: [X-Pass], uri_param_names: [t1], cookie_names: [crumb]}}]
  - name: by-header
    paths: [/by-header]
    headers: {X-Odd-Name: [route-secret-value, shrt8]}
    plugins: [{name: request-termination, config: {status_code: 418}}]
  - name: broken
    paths: [/broken]
    strip_path: false
- {name: down, host: 127.0.0.1, port: 1, routes: [{name: down, paths: [/down]}]}
consumers:
- username: ann
  jwt_secrets: [{key: iss-a, algorithm: HS256, secret: secret-of-the-credential}]
  keyauth_credentials: [{key: key-of-the-credential}]
`

// TestRedaction plants secrets in every place of requests, and looks for them in everything that is told.
func TestRedaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, secretFile, options{})
	personal := claims{"iss": "iss-b", "sub": "PLANTED-sub", "email": "PLANTED-email", "name": "PLANTED-name", "phone_number": "PLANTED-phone", "nonce": "PLANTED-nonce"}
	jwt := token("wrong", nil, personal)
	signature := jwt[strings.LastIndexByte(jwt, '.')+1:]
	basic := "UExBTlRFRDpzZWNyZXQ=" // PLANTED:secret
	var told strings.Builder
	tell := func(r *observe.Report) {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		told.WriteString(r.String() + string(text) + "\n")
	}
	for _, request := range [][]string{
		{"GET /keys?odd_parameter=PLANTED-odd&apikey=PLANTED-apikey&access_token=PLANTED-access&code=PLANTED-code&client_secret=PLANTED-cs&password=PLANTED-pw&my_token=PLANTED-my&x=" + jwt,
			"Authorization: Basic " + basic, "Cookie: session=PLANTED-session; crumb=PLANTED-crumb; theme=PLANTED-theme-cookie", "X-Unknown: PLANTED-unknown"},
		{"GET /keys", "X-Odd-Name: PLANTED-header", "Authorization: PLANTED-without-scheme", "Proxy-Authorization: Basic PLANTED-proxy", "Apikey: PLANTED-fieldkey"},
		{"GET /keys", "X-Odd-Name: PLANTED-header", "X-Odd-Name: PLANTED-twice"},
		{"GET /tokens", "X-Pass: Bearer " + jwt, "X-Api-Key: PLANTED-x", "X-Auth-Token: PLANTED-auth", "X-Amz-Security-Token: PLANTED-amz", "Referer: https://a.test/?token=PLANTED-referer"},
		{"GET /tokens?t1=" + jwt}, {"GET /tokens?%741=" + jwt}, {"GET /tokens", "Cookie: crumb=" + jwt},
		{"GET /tokens/" + jwt + "?t1=PLANTED.token.x", "User-Agent: x " + jwt}, {"GET /none/" + jwt + "?code=PLANTED-code"},
		{"GET /keys?odd_parameter=shrt9&password=shrt7"}, // short ones are not looked for elsewhere
		{"GET /by-header", "X-Odd-Name: shrt8", "Authorization: PLANTED-scheme of-two-words"},
		{"GET /by-header", "X-Odd-Name: route-secret-value", "Authorization: Digest username=\"PLANTED-user\", response=\"PLANTED-digest\""},
		{"GET /down?api%5Fkey=PLANTED-escaped&Token=PLANTED-capital"},
		{"GET /broken?key=PLANTED-key&" + jwt, "Authorization: Bearer PLANTED-opaque", "Origin: https://PLANTED-opaque.test"},
		{"GET /keys?odd_parameter=PLANTED%20with%20blanks", "Host: PLANTED-host-" + jwt[:20]},
	} {
		r := w.do(request[0], request[1:]...)
		if r.StatusCode < http.StatusBadRequest {
			t.Errorf("%s: answered %d", request, r.StatusCode)
		}
		tell(w.past())
		tell(w.dry(request[0], request[1:]...))
	}
	list, err := json.Marshal(w.recent.List(observe.Filter{}))
	if err != nil {
		t.Fatal(err)
	}
	told.Write(list)
	told.WriteString(w.written())
	text := strings.ReplaceAll(told.String(), "PLANTED-host", "") // which is none
	for _, secret := range []string{
		"PLANTED", "shrt7", "shrt8", "shrt9", signature, signature[:20], basic, "route-secret-value", "secret-of-the-credential", "key-of-the-credential", jwt[:40], strings.Split(jwt, ".")[1][:30],
	} {
		for rest := text; ; {
			at := strings.Index(rest, secret)
			if at < 0 {
				break
			}
			t.Errorf("%q is told: …%s…", secret, rest[max(0, at-80):min(len(rest), at+60)])
			rest = rest[at+len(secret):]
		}
	}
	for _, want := range []string{`"in":"header Authorization","scheme":"Basic"`, `"in":"cookie crumb"`, `"in":"query t1"`, `"in":"header X-Odd-Name"`, `"iss":"iss-b"`, `"sub_digest":"`, "X-Odd-Name: [redacted]"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s", want)
		}
	}
}

// Nothing is left of a secret that stands where a text is cut.
func TestSecretThatIsCut(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("PLANTED-", 13)
	for n := range 10 {
		x := exchange(http.StatusForbidden, "/")
		x.Request.Fields.Add("Authorization", "Bearer "+secret)
		plugin.Refuse(x, "test", strings.Repeat("-", n)+strings.Repeat(secret, 100))
		if text := observe.NewReport(x, nil, nil).String(); strings.Contains(text, "PLANT") {
			t.Errorf("the report is %s", text)
		}
	}
}

// The header fields are still there when a large body has gone through the same buffers.
func TestFieldsAfterBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, secretFile, options{})
	r := w.request("POST /broken", "User-Agent: curl/8", "Authorization: Bearer PLANTED")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat("x", 1<<20))), 1<<20
	answer, err := w.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close() // the head is enough
	<-w.ended
	past := w.past()
	if len(past.Request.Fields) == 0 || past.Request.Fields[0] != (observe.Field{Name: "User-Agent", Value: "curl/8"}) || len(past.Credentials) != 1 || past.Credentials[0].Length != 7 {
		t.Errorf("the report is\n%s", past)
	}
	if past.Verdict != "answered with 500 by the upstream "+w.upstream.Listener.Addr().String()+` of the service "s"` {
		t.Errorf("the verdict is %s", past.Verdict)
	}
}

// What is told of a request cannot begin a line of its own, nor command a terminal.
func TestOneLineEach(t *testing.T) {
	t.Parallel()
	w := newFile(t, options{})
	text := w.dry("GET /weather/secure?a=%1b[31m\u202e", "User-Agent: a\tb\u0085c\u2028d\u202e", "Host: a\u202eb.test").String()
	if strings.ContainsAny(text, "\t\x1b\u0085\u2028\u202e") {
		t.Errorf("the text is %q", text)
	}
}
