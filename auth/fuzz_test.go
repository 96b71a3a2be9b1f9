package auth_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure/auth"
)

// FuzzVerify: whatever comes as a token is refused as such, or is one of those that were signed.
func FuzzVerify(f *testing.F) {
	i := newIssuer(f, "", pairs()["ES256"])
	v := i.verifier(f)
	good := pairs()["ES256"].sign(at, i.claims())
	parts := strings.Split(good, ".")
	for _, seed := range []string{
		good, "", ".", "..", "...", good + ".", "{}", parts[0] + ".." + parts[2], parts[0] + "." + parts[1] + ".", strings.ToUpper(good),
		b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", b64([]byte(`{"alg":"ES256","kid":"p256","crit":[1]}`)) + "." + parts[1] + "." + parts[2],
		b64([]byte(`{"alg":"ES256","jwk":{"kty":"EC"},"x5c":[1]}`)) + "." + parts[1] + "." + parts[2], parts[0] + "." + b64([]byte(`[]`)) + "." + parts[2],
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		p, err := v.Verify(t.Context(), token)
		switch {
		case err == nil && token != good:
			t.Errorf("%q is accepted: %v", token, p)
		case err != nil && (p != nil || !errors.Is(err, auth.ErrUnauthenticated)):
			t.Errorf("%q: %v, %v", token, p, err)
		}
	})
}

// FuzzClaims: what a signed token contains is refused, or makes a principal of this issuer and audience.
func FuzzClaims(f *testing.F) {
	i := newIssuer(f, "", pairs()["EdDSA"])
	v := i.verifier(f, func(c *auth.VerifierConfig) { c.RolesClaim = "realm_access.roles" })
	good := must(json.Marshal(i.claims()))
	for _, seed := range []string{
		string(good), `{}`, `{"iss":1}`, strings.Replace(string(good), `"api"`, `["api",null]`, 1), `{"realm_access":{"roles":[{}]},` + string(good[1:]),
		`{"cnf":null,` + string(good[1:]), strings.Replace(string(good), `"exp":`, `"exp":1e`, 1),
	} {
		f.Add("at+jwt", []byte(seed))
		f.Add("", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, typ string, claims []byte) {
		if len(claims) > 8<<10 {
			t.Skip()
		}
		p, err := v.Verify(t.Context(), pairs()["EdDSA"].sign(object{"typ": typ}, claims))
		switch {
		case err != nil && !errors.Is(err, auth.ErrUnauthenticated):
			t.Error(err)
		case err == nil && (p.Issuer != i.name() || p.Subject == "" || p.Name == "" || !slices.IsSorted(p.Roles) || p.Expires.Before(start.Add(-30e9))):
			t.Errorf("%s: %+v", claims, p)
		}
	})
}

// FuzzAuthorizationHeader: a header is understood in one way, and the answer to a bad one is well formed.
func FuzzAuthorizationHeader(f *testing.F) {
	for _, seed := range []string{"", "Bearer", "Bearer ", "bearer x", "Bearer x y", "Bearer x,y", "Basic x", "Bearer =", "Bearer x==", "Bearer\tx", "Bearer \"x\"", "Bearer \x00", " Bearer x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		token, err := auth.BearerToken(http.Header{"Authorization": {value}})
		if err == nil && token != "" && (!strings.HasSuffix(strings.TrimRight(value, " \t"), token) || strings.ContainsAny(token, " ,\"\r\n")) {
			t.Errorf("%q: token %q", value, token)
		}
		if err == nil {
			err = &auth.TokenError{Reason: value} // whatever a reason says
		} else if token != "" {
			t.Errorf("%q: %q and %v", value, token, err)
		}
		w := httptest.NewRecorder()
		auth.RefuseCredentials(w, httptest.NewRequest("GET", "/", nil), err)
		challenge := w.Header().Get("WWW-Authenticate")
		if strings.Count(challenge, `"`) != 6 || strings.ContainsAny(challenge, "\r\n\\") || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%q: %s %s", value, challenge, w.Body)
		}
	})
}

// FuzzJWKS: any document is refused or gives keys that each verify an algorithm of their kind.
func FuzzJWKS(f *testing.F) {
	for _, key := range pairs() {
		f.Add(must(json.Marshal(object{"keys": []object{key.jwk(), key.jwk("use", "enc")}})))
	}
	for _, seed := range []string{`{"keys":[]}`, `{"keys":[{}]}`, `{"keys":[1]}`, `{"keys":[{"kty":"RSA","n":"","e":""}]}`, `{"keys":[{"kty":"oct","k":""}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`, `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQABAQABAQABAQAB"}]}`} {
		f.Add([]byte(seed))
	}
	algorithms := []string{"RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, err := auth.ParseJWKS(document)
		if err != nil && keys != nil {
			t.Errorf("%v and %v", keys, err)
		}
		for _, key := range keys {
			if !slices.ContainsFunc(append(algorithms, key.Algorithm), func(alg string) bool { return auth.Verifies(key, alg) }) {
				t.Errorf("%+v verifies nothing", key)
			}
			if auth.Verifies(key, "HS256") || auth.Verifies(key, "none") {
				t.Errorf("%+v verifies what nothing may", key)
			}
		}
	})
}

// FuzzDiscovery: any document is refused or is about the issuer.
func FuzzDiscovery(f *testing.F) {
	for _, seed := range []string{`{"issuer":"https://x/","jwks_uri":"https://x/k"}`, `{}`, `[]`, `{"issuer":"https://x"}`, `{"issuer":"https://x/","jwks_uri":{}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		url, err := auth.ParseDiscovery(document, "https://x/")
		var plain struct {
			Issuer string `json:"issuer"`
			URL    string `json:"jwks_uri"`
		}
		if err == nil && (url == "" || json.Unmarshal(document, &plain) != nil) {
			t.Errorf("%s: %q", document, url)
		}
		if (err == nil) != (url != "") {
			t.Errorf("%s: %q, %v", document, url, err)
		}
	})
}

// FuzzStrictJSON: what is read strictly is what encoding/json reads.
func FuzzStrictJSON(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,{"b":null}],"c":"\ud800"}`, `{"a":1,"a":2}`, `{"a":}`, `{"a":[1,]}`, `{"a":1}}`, `{"a" 1}`, `{,}`, `{"a":1,}`, `{"a":1 "b":2}`, `{"":{"":[[]]}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := auth.ParseObject(data, 16)
		if err != nil {
			return
		}
		var want map[string]any
		decoder := json.NewDecoder(strings.NewReader(string(data)))
		decoder.UseNumber()
		if err := decoder.Decode(&want); err != nil || !reflect.DeepEqual(got, want) || !json.Valid(data) {
			t.Errorf("%q: got %v, want %v, %v", data, got, want, err)
		}
	})
}
