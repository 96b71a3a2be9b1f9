package rest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/rest"
)

func unescape(path string) (string, error) { return url.PathUnescape(path) }

func stubbed(err error) http.Handler {
	return rest.New(options(stubs(err), &logged{}))
}

func noToken(r *http.Request) { r.Header.Del("Authorization") }

func token(text string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", text) }
}

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

const version = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"

// Who has no good token is sent to get one, before anything else of the request counts.
func TestChallenge(t *testing.T) {
	t.Parallel()
	h := stubbed(nil)
	const where = `Bearer authorization="https://login.localhost:8443/tenant", resource="https://vault.localhost:8443"`
	for _, c := range []struct {
		name         string
		method, path string
		change       func(*http.Request)
		status       int
		header       string
	}{
		{"no token", "GET", "/secrets/it" + query, noToken, 401, where},
		{"no token, no body", "PUT", "/secrets/it" + query, noToken, 401, where},
		{"no token, nothing right", "BREW", "/tea", noToken, 401, where},
		{"another scheme", "GET", "/secrets/it" + query, token("Basic YTpi"), 401, where},
		{"bad token", "GET", "/secrets/it" + query, token("Bearer x"), 401, where + `, error="invalid_token"`},
		{"malformed", "GET", "/secrets/it" + query, token("Bearer "), 401, where + `, error="invalid_request"`},
		{"issuer down", "GET", "/secrets/it" + query, token("Bearer down"), 503, ""},
		{"good", "GET", "/secrets/it" + query, func(*http.Request) {}, 200, ""},
	} {
		a := send(h, c.method, c.path, "", c.change)
		if a.status != c.status || a.head.Get("WWW-Authenticate") != c.header {
			t.Errorf("%s: %d %q, want %d %q", c.name, a.status, a.head.Get("WWW-Authenticate"), c.status, c.header)
		}
		if a.status != 200 && a.at("error", "code") == nil {
			t.Errorf("%s: %s, want an error", c.name, a.text)
		}
		for _, name := range []string{"X-Ms-Request-Id", "Strict-Transport-Security", "Cache-Control"} {
			if a.head.Get(name) == "" {
				t.Errorf("%s: no header %s", c.name, name)
			}
		}
	}
	if a := send(h, "GET", "/secrets/it"+query, "", noToken, host("elsewhere.example.com")); a.status != 404 {
		t.Errorf("another host: %d %s, want 404", a.status, a.text)
	}
	if a := send(h, "GET", "/secrets/it"+query, "", host("three.vault.localhost:8443")); a.status != 404 || a.at("error", "code") != "VaultNotFound" {
		t.Errorf("another vault: %d %s, want 404", a.status, a.text)
	}
}

// Paths come with and without a version, with slashes too many, and never lead elsewhere.
func TestRoutes(t *testing.T) {
	t.Parallel()
	h := stubbed(nil)
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "/secrets/it", "", 200, ""},
		{"GET", "/secrets/it/", "", 200, ""},
		{"GET", "//secrets//it//", "", 200, ""},
		{"GET", "/secrets/it/" + version, "", 200, ""},
		{"GET", "/secrets", "", 200, ""},
		{"GET", "/secrets/", "", 200, ""},
		{"GET", "/secrets/versions/versions", "", 200, ""},
		{"GET", "/%73ecrets/it", "", 200, ""},
		{"GET", "/certificates/restore", "", 200, ""},
		{"POST", "/keys/it/sign", `{"alg":"ES256","value":"AA"}`, 200, ""},
		{"POST", "/keys/it//sign", `{"alg":"ES256","value":""}`, 200, ""},
		{"POST", "/keys/it/" + version + "/sign", `{"alg":"ES256","value":"AA"}`, 200, ""},
		{"GET", "/certificates/issuers", "", 200, ""},
		{"DELETE", "/deletedkeys/it", "", 204, ""},
		{"GET", "/secrets/it/nothing", "", 400, "BadParameter"},
		{"GET", "/secrets/it/" + strings.ToUpper(version), "", 400, "BadParameter"},
		{"GET", "/keys/it/sign", "", 400, "BadParameter"},
		{"GET", "/secrets/a.b", "", 400, "BadParameter"},
		{"GET", "/secrets/%C3%A4", "", 400, "BadParameter"},
		{"GET", "/secrets/a%2Fb", "", 400, "BadParameter"},
		{"GET", "/secrets/%2e%2e/keys", "", 400, "BadParameter"},
		{"GET", "/secrets/" + strings.Repeat("a", 128), "", 400, "BadParameter"},
		{"POST", "/certificates/issuers/create", `{}`, 400, "BadParameter"},
		{"GET", "/", "", 404, "NotFound"},
		{"GET", "/storage/it", "", 404, "NotFound"},
		{"GET", "/secrets/it/a/b/c/d/e/f/g", "", 400, "BadParameter"},
		{"GET", "/secrets/it/a/b", "", 404, "NotFound"},
		{"POST", "/secrets/it", "", 405, "MethodNotAllowed"},
		{"GET", "/keys/it/create", "", 400, "BadParameter"},
		{"OPTIONS", "/keys", "", 405, "MethodNotAllowed"},
		{"GET", "/keys/it/attestation", "", 400, "NotSupported"},
		{"GET", "/keys/it/" + version + "/attestation", "", 400, "NotSupported"},
		{"POST", "/keys/it/" + version + "/release", `{}`, 400, "NotSupported"},
		{"POST", "/keys/it/release", `{}`, 400, "NotSupported"},
	} {
		a := send(h, c.method, c.path+query, c.body)
		if code := a.at("error", "code"); a.status != c.status || c.code != "" && code != c.code {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, a.status, a.text, c.status, c.code)
		}
	}
	if a := send(h, "POST", "/secrets/it"+query, ""); a.head.Get("Allow") != "DELETE, GET, PATCH, PUT" {
		t.Errorf("allow %q", a.head.Get("Allow"))
	}
}

func TestAPIVersion(t *testing.T) {
	t.Parallel()
	h := stubbed(nil)
	for _, good := range []string{"7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-06-01-preview", "2025-07-01"} {
		if a := send(h, "GET", "/keys?api-version="+good, ""); a.status != 200 {
			t.Errorf("%s: %d %s", good, a.status, a.text)
		}
	}
	for _, bad := range []string{"", "?api-version=", "?api-version=6.0", "?api-version=7.4&api-version=7.5", "?api-version=%zz"} {
		a := send(h, "GET", "/keys"+bad, "")
		if a.status != 400 || a.at("error", "code") != "BadParameter" {
			t.Errorf("%q: %d %s", bad, a.status, a.text)
		}
	}
	if a := send(h, "GET", "/keys?api-version=6.0", ""); !strings.Contains(a.text, "2025-07-01") {
		t.Errorf("%s does not say what is known", a.text)
	}
}

// A body is one JSON object, and what is wrong with it is said without what stands in it.
func TestBodies(t *testing.T) {
	t.Parallel()
	h := stubbed(nil)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"PUT", "/secrets/it", `{"value":"hunter2","more":[{"a":null}]}`, 200},
		{"PUT", "/secrets/it", ` {"value":""} `, 200},
		{"PUT", "/secrets/it", `{"value":"a","attributes":{"enabled":false,"exp":1900000000,"nbf":null},"tags":{"a":"b"},"contentType":null}`, 200},
		{"PUT", "/secrets/it", ``, 400},
		{"PUT", "/secrets/it", `{}`, 400},
		{"PUT", "/secrets/it", `null`, 400},
		{"PUT", "/secrets/it", `[]`, 400},
		{"PUT", "/secrets/it", `{"value":"hunter2"}{}`, 400},
		{"PUT", "/secrets/it", `{"value":"hunter2"`, 400},
		{"PUT", "/secrets/it", `{"value":"hunter2",}`, 400},
		{"PUT", "/secrets/it", `{"value":"hunter2","value":"hunter3"}`, 400},
		{"PUT", "/secrets/it", `{"value":"hunter2","VALUE":"hunter3"}`, 400},
		{"PUT", "/secrets/it", `{"value":12345678}`, 400},
		{"PUT", "/secrets/it", `{"value":["hunter2"]}`, 400},
		{"PUT", "/secrets/it", "{\"value\":\"hunter2\xff\"}", 400},
		{"PUT", "/secrets/it", `{"value":"hunter2","attributes":{"exp":"hunter2"}}`, 400},
		{"PUT", "/secrets/it", `{"value":"hunter2","attributes":{"exp":1.5}}`, 400},
		{"PUT", "/secrets/it", `{"value":"hunter2","attributes":{"exp":-1}}`, 400},
		{"PUT", "/secrets/it", `{"value":"hunter2","attributes":{"exp":253402300800}}`, 400},
		{"PUT", "/secrets/it", `{"value":"hunter2","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, 400},
		{"PUT", "/secrets/it", `{"value":"` + strings.Repeat("x", 256<<10) + `"}`, 413},
		{"POST", "/keys/it/sign", `{"alg":"ES256","value":"hunter2="}`, 400},
		{"POST", "/keys/it/sign", `{"alg":"ES256","value":"hunt+r2"}`, 400},
		{"POST", "/keys/it/sign", `{"value":"AA"}`, 400},
		{"POST", "/keys/it/sign", `{"alg":"ES256"}`, 400},
		{"POST", "/keys/it/verify", `{"alg":"ES256","value":"AA"}`, 400},
		{"POST", "/keys/it/create", `{}`, 400},
		{"POST", "/keys/it/create", `{"kty":"RSA","attributes":{"exportable":true}}`, 400},
		{"POST", "/keys/it/create", `{"kty":"RSA","release_policy":{"data":"AA"}}`, 400},
		{"PUT", "/keys/it", `{}`, 400},
		{"PUT", "/keys/it", `{"key":"hunter2"}`, 400},
		{"PUT", "/keys/it", `{"key":{"kty":"oct","k":"AA","k":"AB"}}`, 400},
		{"POST", "/rng", `{"count":129}`, 400},
		{"POST", "/rng", `{"count":1}`, 200},
		{"PUT", "/keys/it/rotationpolicy", `{"lifetimeActions":[{}]}`, 400},
		{"POST", "/secrets/restore", `{"value":""}`, 400},
		{"POST", "/secrets/restore", `{"value":"` + strings.Repeat("AAAA", 1<<20) + `"}`, 200},
		{"POST", "/certificates/it/import", `{"value":"` + strings.Repeat("x", 1<<20) + `"}`, 413},
		{"POST", "/certificates/it/pending/merge", `{"x5c":["AA"]}`, 400},
		{"POST", "/certificates/it/pending/merge", `{"x5c":["AA=="]}`, 201},
		{"PATCH", "/certificates/it/pending", `{}`, 400},
		{"PATCH", "/certificates/it", `{"policy":{}}`, 400},
		{"PUT", "/certificates/issuers/it", `{"provider":"Test","org_details":[]}`, 400},
		{"PUT", "/certificates/contacts", `{"contacts":[]}`, 400},
	} {
		a := send(h, c.method, c.path+query, c.body)
		if a.status != c.status {
			t.Errorf("%s %s %.60s: %d %.200s, want %d", c.method, c.path, c.body, a.status, a.text, c.status)
		}
		if strings.Contains(a.text, "hunter") || strings.Contains(a.text, "12345678") {
			t.Errorf("%s %s: %s has the value", c.method, c.path, a.text)
		}
	}
	xml := func(r *http.Request) { r.Header.Set("Content-Type", "text/xml") }
	if a := send(h, "PUT", "/secrets/it"+query, `{"value":"a"}`, xml); a.status != 415 {
		t.Errorf("as XML: %d %s, want 415", a.status, a.text)
	}
}

// Large bodies are read before the services are asked who may send them, so only a few at a time.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	h := stubbed(nil)
	read, blocked := make(chan struct{}, 2), make(chan struct{})
	done := make(chan int, 2)
	for range 2 {
		go func() {
			done <- send(h, "POST", "/secrets/restore"+query, "", func(r *http.Request) {
				r.ContentLength, r.Body = -1, io.NopCloser(io.MultiReader(signal{read, blocked}, strings.NewReader(`{"value":"AA"}`)))
			}).status
		}()
	}
	<-read
	<-read
	large := func(r *http.Request) { r.ContentLength = 2 << 20 }
	if a := send(h, "POST", "/secrets/restore"+query, `{"value":"AA"}`, large); a.status != 503 || a.head.Get("Retry-After") == "" {
		t.Errorf("a third large one: %d %s", a.status, a.text)
	}
	if a := send(h, "POST", "/secrets/restore"+query, `{"value":"AA"}`); a.status != 200 {
		t.Errorf("a small one: %d %s", a.status, a.text)
	}
	close(blocked)
	for range 2 {
		if status := <-done; status != 200 {
			t.Errorf("a large one: %d", status)
		}
	}
	if a := send(h, "POST", "/secrets/restore"+query, `{"value":"AA"}`, large); a.status != 200 {
		t.Errorf("a large one afterwards: %d %s", a.status, a.text)
	}
}

// signal is a reader that says that it is read, and ends when it may.
type signal struct{ read, end chan struct{} }

// Read implements io.Reader.
func (s signal) Read([]byte) (int, error) {
	s.read <- struct{}{}
	<-s.end
	return 0, io.EOF
}

// Errors are Azure's.
func TestErrors(t *testing.T) {
	t.Parallel()
	const cert, body = "/certificates/it", `{"value":"AA"}`
	for _, c := range []struct {
		err                error
		method, path, body string
		status             int
		code, inner        string
	}{
		{model.ErrNotFound, "GET", "/secrets/it", "", 404, "SecretNotFound", ""},
		{model.ErrNotFound, "GET", "/deletedsecrets/it", "", 404, "SecretNotFound", ""},
		{model.ErrNotFound, "GET", "/keys/it/" + version, "", 404, "KeyNotFound", ""},
		{model.ErrNotFound, "POST", "/keys/it/sign", `{"alg":"A","value":"AA"}`, 404, "KeyNotFound", ""},
		{model.ErrNotFound, "GET", cert, "", 404, "CertificateNotFound", ""},
		{model.ErrNotFound, "GET", cert + "/policy", "", 404, "CertificateNotFound", ""},
		{model.ErrNotFound, "GET", cert + "/pending", "", 404, "PendingCertificateNotFound", ""},
		{nil, "GET", cert + "/pending?request_id=other", "", 404, "PendingCertificateNotFound", ""},
		{nil, "GET", cert + "/pending?request_id=r1", "", 200, "", ""},
		{model.ErrNotFound, "GET", "/certificates/issuers/it", "", 404, "CertificateIssuerNotFound", ""},
		{nil, "GET", "/certificates/contacts", "", 404, "ContactsNotFound", ""},
		{fmt.Errorf("x: %w", model.ErrForbidden), "GET", "/secrets/it", "", 403, "Forbidden", "ForbiddenByRbac"},
		{model.ErrForbidden, "GET", "/keys", "", 403, "Forbidden", "ForbiddenByRbac"},
		{model.ErrDeleted, "PUT", "/secrets/it", body, 409, "Conflict", "ObjectIsDeletedButRecoverable"},
		{model.ErrDeleted, "POST", "/keys/it/create", `{"kty":"EC"}`, 409, "Conflict", "ObjectIsDeletedButRecoverable"},
		{model.ErrExists, "POST", "/secrets/restore", body, 409, "Conflict", ""},
		{model.ErrExists, "POST", cert + "/create", `{}`, 409, "Conflict", ""},
		{model.ErrProtected, "DELETE", "/deletedkeys/it", "", 403, "Forbidden", ""},
		{model.ErrManaged, "DELETE", "/keys/it", "", 403, "Forbidden", "KeyManagedByKeyVault"},
		{model.ErrManaged, "PUT", "/secrets/it", body, 403, "Forbidden", "SecretManagedByKeyVault"},
		{model.ErrDisabled, "GET", "/secrets/it", "", 403, "Forbidden", "SecretDisabled"},
		{model.ErrDisabled, "POST", "/keys/it/decrypt", `{"alg":"A","value":"AA"}`, 403, "Forbidden", "KeyDisabled"},
		{model.ErrExpired, "POST", "/keys/it/sign", `{"alg":"A","value":"AA"}`, 403, "Forbidden", "KeyExpired"},
		{model.ErrNotYetValid, "POST", "/keys/it/sign", `{"alg":"A","value":"AA"}`, 403, "Forbidden", "KeyNotYetValid"},
		{model.ErrOperation, "POST", "/keys/it/wrapkey", `{"alg":"A","value":"AA"}`, 403, "Forbidden", "KeyOperationForbidden"},
		{model.ErrCiphertext, "POST", "/keys/it/unwrapkey", `{"alg":"A","value":"AA"}`, 400, "BadParameter", ""},
		{&model.FieldError{Field: "exp", Detail: "it is before nbf"}, "PUT", "/secrets/it", body, 400, "BadParameter", ""},
		{model.ErrInvalid, "PUT", "/secrets/it", body, 400, "BadParameter", ""},
		{model.ErrTooMany, "PUT", "/secrets/it", body, 409, "Conflict", ""},
		{unit.ErrConflict, "PUT", "/secrets/it", body, 503, "ServiceUnavailable", ""},
		{unit.ErrTooLarge, "PUT", "/secrets/it", body, 413, "RequestEntityTooLarge", ""},
		{errors.New("disk on fire"), "GET", "/secrets/it", "", 500, "InternalError", ""},
	} {
		log := &logged{}
		sep := query
		if strings.Contains(c.path, "?") {
			sep = "&" + query[1:]
		}
		a := send(rest.New(options(stubs(c.err), log)), c.method, c.path+sep, c.body)
		inner, _ := a.at("error", "innererror", "code").(string)
		code, _ := a.at("error", "code").(string)
		if a.status != c.status || code != c.code || inner != c.inner {
			t.Errorf("%s %s, %v: %d %s, want %d %s %s", c.method, c.path, c.err, a.status, a.text, c.status, c.code, c.inner)
		}
		if logs := log.String() != ""; logs != (c.status >= 500) || strings.Contains(a.text, "fire") {
			t.Errorf("%v: the log says %q, the answer %s", c.err, log, a.text)
		}
	}
}

// Nothing but set and get of a secret says its value, and no answer has the secret part of a key.
func TestValuesStayBehind(t *testing.T) {
	t.Parallel()
	h := stubbed(nil)
	for _, c := range []struct {
		method, path, body string
		has                bool
	}{
		{"GET", "/secrets/it", "", true},
		{"GET", "/secrets/it/" + version, "", true},
		{"PUT", "/secrets/it", `{"value":"x"}`, true},
		{"PATCH", "/secrets/it/" + version, `{}`, false},
		{"PATCH", "/secrets/it", `{}`, false},
		{"GET", "/secrets", "", false},
		{"GET", "/secrets/it/versions", "", false},
		{"DELETE", "/secrets/it", "", false},
		{"GET", "/deletedsecrets", "", false},
		{"GET", "/deletedsecrets/it", "", false},
		{"POST", "/deletedsecrets/it/recover", "", false},
		{"POST", "/secrets/restore", `{"value":"AA"}`, false},
		{"GET", "/keys/it", "", false},
		{"POST", "/keys/it/rotate", "", false},
	} {
		a := send(h, c.method, c.path+query, c.body)
		if a.status != 200 || strings.Contains(a.text, "the-value") != c.has || strings.Contains(a.text, "AAAA") {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.text)
		}
	}
}

func TestShapes(t *testing.T) {
	t.Parallel()
	const base = "https://one.vault.localhost:8443"
	attributes := func(level string, days int) string {
		return fmt.Sprintf(`{"enabled":true,"created":1767323045,"updated":1767323045,"recoveryLevel":%q,"recoverableDays":%d`, level, days)
	}
	usual := attributes("Recoverable+Purgeable", 90)
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/secrets/it", "", `{"value":"the-value","id":"` + base + `/secrets/it/` + version + `","attributes":` + usual + `}}`},
		{"GET", "/secrets?maxresults=3", "", `{"value":[{"id":"` + base + `/secrets/it","attributes":` + usual + `}}],"nextLink":"` + base + `/secrets?api-version=7.4&$skiptoken=a+b%26c&maxresults=3"}`},
		{"GET", "/secrets/it/versions", "", `{"value":[{"id":"` + base + `/secrets/it/` + version + `","attributes":` + usual + `}}],"nextLink":null}`},
		{"GET", "/deletedkeys", "", `{"value":[{"kid":"` + base + `/keys/it","attributes":` + usual + `,"exportable":false},"recoveryId":"` + base + `/deletedkeys/it","deletedDate":-62135596800,"scheduledPurgeDate":-62135596800}],"nextLink":null}`},
		{"GET", "/keys/it", "", `{"key":{"kid":"` + base + `/keys/it/` + version + `","kty":"oct-HSM"},"attributes":` + usual + `,"exportable":false}}`},
		{"POST", "/keys/it/backup", "", `{"value":"-_8"}`},
		{"POST", "/keys/it/verify", `{"alg":"A","value":"","digest":"AA"}`, `{"value":false}`},
		{"POST", "/keys/it/encrypt", `{"alg":"A","value":"_w","iv":"AA","tag":"AQ","aad":"Ag"}`, `{"kid":"` + base + `/keys/it","value":"_w","iv":"AA","tag":"AQ","aad":"Ag"}`},
		{"GET", "/certificates/it/pending", "", `{"id":"` + base + `/certificates/it/pending","issuer":{"name":""},"cancellation_requested":false,"status":"completed","request_id":"r1","target":"` + base + `/certificates/it"}`},
		{"GET", "/certificates/issuers", "", `{"value":[],"nextLink":null}`},
		{
			"PATCH", "/certificates/issuers/it", `{"provider":"Test","credentials":{"account_id":"a","pwd":"hunter2"},"org_details":{"id":"x"},"attributes":{"enabled":true}}`,
			`{"id":"` + base + `/certificates/issuers/it","provider":"Test","credentials":{"account_id":"a"},"org_details":{"id":"x"},"attributes":{"enabled":true}}`,
		},
		{"PUT", "/certificates/contacts", `{"contacts":[{"email":"a@example.com"}]}`, `{"id":"` + base + `/certificates/contacts","contacts":[{"email":"a@example.com"}]}`},
	} {
		sep := query
		if strings.Contains(c.path, "?") {
			sep = "&" + query[1:]
		}
		a := send(stubbed(nil), c.method, c.path+sep, c.body)
		var got bytes.Buffer
		must(t, json.Compact(&got, []byte(a.text)))
		text := strings.ReplaceAll(got.String(), `\u0026`, "&")
		if a.status != 200 || text != c.want {
			t.Errorf("%s %s: %d\n%s, want\n%s", c.method, c.path, a.status, text, c.want)
		}
	}
	o := options(stubs(nil), &logged{})
	o.RecoverableDays, o.PurgeProtected = func(string) int { return 7 }, func(vault string) bool { return vault == "one" }
	if a := send(rest.New(o), "GET", "/secrets/it"+query, ""); a.at("attributes", "recoveryLevel") != "CustomizedRecoverable" || a.at("attributes", "recoverableDays") != 7.0 {
		t.Errorf("protected: %s", a.text)
	}
	if a := send(stubbed(nil), "GET", "/keys?maxresults=26&"+query[1:], ""); a.status != 400 {
		t.Errorf("too large a page: %d %s", a.status, a.text)
	}
}

// The services are told who asks, from where, and for what vault.
func TestCaller(t *testing.T) {
	t.Parallel()
	o := stubs(nil)
	by, id := &model.Caller{}, &model.ID{}
	o.Secrets.(*stubSecrets).by, o.Secrets.(*stubSecrets).id = by, id
	a := send(rest.New(options(o, &logged{})), "GET", "/secrets/it/"+version+query, "", host("TWO.vault.localhost:8443"), func(r *http.Request) {
		r.Header.Set("User-Agent", strings.Repeat("azsdk", 100))
		r.Header.Set("X-Ms-Client-Request-Id", "mine-1")
		r.Header.Set("X-Ms-Return-Client-Request-Id", "true")
	})
	if *id != (model.ID{Vault: "two", Kind: model.Secrets, Name: "it", Version: version}) {
		t.Errorf("id %+v", id)
	}
	if by.Principal == nil || by.Principal.Subject != "ann" || by.Operator || by.IP != "192.0.2.1" || len(by.Agent) != 200 {
		t.Errorf("caller %+v", by)
	}
	if by.Request != a.head.Get("X-Ms-Request-Id") || !regexp.MustCompile(`^[0-9a-f-]{36}$`).MatchString(by.Request) {
		t.Errorf("request %q, header %q", by.Request, a.head.Get("X-Ms-Request-Id"))
	}
	if a.head.Get("X-Ms-Client-Request-Id") != "mine-1" {
		t.Errorf("client's request id %q", a.head.Get("X-Ms-Client-Request-Id"))
	}
}

// Where nobody but the operator can reach it, it asks for no token.
func TestOperator(t *testing.T) {
	t.Parallel()
	o := options(stubs(nil), &logged{})
	by, id := &model.Caller{}, &model.ID{}
	o.Secrets.(*stubSecrets).by, o.Secrets.(*stubSecrets).id = by, id
	o.Operator, o.Authenticator, o.Challenge = true, nil, nil
	if a := send(rest.New(o), "GET", "/secrets/it"+query, "", noToken); a.status != 200 || !by.Operator || by.Principal != nil {
		t.Errorf("%d %s, by %+v", a.status, a.text, by)
	}
	if a := send(rest.New(o), "GET", "/secrets/it"+query, "", host("three.vault.localhost:8443")); a.status != 404 {
		t.Errorf("another vault: %d %s", a.status, a.text)
	}
}

// Everybody may read which certificates are revoked.
func TestCRL(t *testing.T) {
	t.Parallel()
	a := send(stubbed(nil), "GET", "/crl/root.crl", "", noToken)
	if a.status != 200 || a.text != "root" || a.head.Get("Content-Type") != "application/pkix-crl" {
		t.Errorf("%d %q %v", a.status, a.text, a.head)
	}
	for _, c := range []struct {
		err          error
		method, path string
		status       int
	}{
		{model.ErrNotFound, "GET", "/crl/root.crl", 404},
		{errors.New("fire"), "GET", "/crl/root.crl", 500},
		{nil, "POST", "/crl/root.crl", 405},
		{nil, "GET", "/crl/root", 401},
		{nil, "GET", "/crl/a/b.crl", 401},
		{nil, "GET", "/crl/.crl", 401},
	} {
		if a := send(stubbed(c.err), c.method, c.path, "", noToken); a.status != c.status {
			t.Errorf("%s %s, %v: %d %s, want %d", c.method, c.path, c.err, a.status, a.text, c.status)
		}
	}
	if a := send(stubbed(nil), "GET", "/crl/root.crl", "", noToken, host("three.vault.localhost")); a.status != 404 {
		t.Errorf("another vault: %d", a.status)
	}
}
