package auth_test

import (
	"errors"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/perdure/perdure/auth"
)

// Each algorithm verifies with its key, with and without a slash after the issuer, and with tokens that name no key.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	for alg, key := range pairs() {
		if alg == "other" || alg == "weak" {
			continue
		}
		for _, slash := range []string{"", "/"} {
			for _, kid := range []string{key.kid, ""} {
				i := newIssuer(t, slash, pairs()["other"], key)
				p, err := i.verifier(t).Verify(t.Context(), key.sign(with(at, "kid", kid), i.claims()))
				if err != nil || p.Subject != "user|1" || p.Issuer != i.name() {
					t.Errorf("%s, slash %q, kid %q: %v, %v", alg, slash, kid, p, err)
				}
			}
		}
	}
}

func TestPrincipal(t *testing.T) {
	t.Parallel()
	key := pairs()["ES256"]
	i := newIssuer(t, "/", key)
	base := with(i.claims(), "scope", nil, "permissions", nil, "roles", nil, "name", nil)
	for _, tt := range []struct {
		name   string
		config func(*auth.VerifierConfig)
		claims object
		want   auth.Principal
	}{
		{"nothing", nil, with(base, "client_id", nil), auth.Principal{Name: "user|1"}},
		{"Auth0, a user", nil, with(base, "client_id", nil, "azp", "spa", "aud", []string{"api", "https://x/userinfo"},
			"scope", "openid  files", "permissions", []string{"write:files", "read:files", "write:files"}),
			auth.Principal{Name: "user|1", ClientID: "spa", Scopes: []string{"files", "openid"}, Permissions: []string{"read:files", "write:files"}}},
		{"Entra, a user", nil, with(base, "client_id", nil, "azp", "1-2", "scp", "Files.Read Files.Write", "roles", []string{"Admin"}, "preferred_username", "ada@x"),
			auth.Principal{Name: "ada@x", ClientID: "1-2", Scopes: []string{"Files.Read", "Files.Write"}, Roles: []string{"Admin"}}},
		{"Entra, an application", nil, with(base, "client_id", nil, "appid", "1-2", "idtyp", "app", "roles", []string{"Files.All"}),
			auth.Principal{Name: "user|1", ClientID: "1-2", Roles: []string{"Files.All"}}},
		{"Okta", nil, with(base, "client_id", nil, "cid", "0oa", "scp", []string{"b", "a"}), auth.Principal{Name: "user|1", ClientID: "0oa", Scopes: []string{"a", "b"}}},
		{"Keycloak", func(c *auth.VerifierConfig) { c.RolesClaim = "realm_access.roles" },
			with(base, "typ", "Bearer", "realm_access", object{"roles": []string{"z", "a"}}, "nickname", "Ada", "nonce", "n"),
			auth.Principal{Name: "Ada", ClientID: "app", Roles: []string{"a", "z"}}},
		{"a user without a name is not called after the application", nil, with(base, "azp", "spa"), auth.Principal{Name: "user|1", ClientID: "app"}},
		{"claims that are URLs", func(c *auth.VerifierConfig) {
			c.RolesClaim, c.NameClaim, c.PermissionsClaim, c.ScopesClaim = "https://my.app/roles", "https://my.app/name", "p", "s"
		}, with(base, "https://my.app/roles", []string{"r"}, "https://my.app/name", "N", "p", "x y", "s", []string{"t"}),
			auth.Principal{Name: "N", ClientID: "app", Roles: []string{"r"}, Permissions: []string{"x", "y"}, Scopes: []string{"t"}}},
		{"claims of other types", nil, with(base, "roles", 1, "permissions", []any{"a", 1}, "scope", object{}, "name", 7, "email", "e"),
			auth.Principal{Name: "e", ClientID: "app"}},
	} {
		v := i.verifier(t, func(c *auth.VerifierConfig) {
			if tt.config != nil {
				tt.config(c)
			}
		})
		p, err := v.Verify(t.Context(), key.sign(object{"typ": "JWT"}, tt.claims))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if p.Claims["sub"] != "user|1" || len(p.Claims) != len(tt.claims) {
			t.Errorf("%s: claims %v", tt.name, p.Claims)
		}
		tt.want.Subject, tt.want.Issuer, tt.want.Claims, tt.want.Expires = "user|1", i.name(), p.Claims, start.Add(10*time.Minute)
		p.Expires = p.Expires.UTC()
		// An empty list is as good as none.
		for _, list := range []*[]string{&p.Scopes, &p.Roles, &p.Permissions} {
			if len(*list) == 0 {
				*list = nil
			}
		}
		if !reflect.DeepEqual(*p, tt.want) {
			t.Errorf("%s: got %+v\nwant %+v", tt.name, *p, tt.want)
		}
	}
}

// The times of a token, with the leeway on both sides.
func TestTimes(t *testing.T) {
	t.Parallel()
	key := pairs()["ES256"]
	i := newIssuer(t, "", key)
	now := float64(start.Unix())
	for _, tt := range []struct {
		claim  string
		value  any
		leeway time.Duration
		want   string // empty if it is good
	}{
		{"exp", now - 29, 0, ""},
		{"exp", now - 30, 0, "expired at 2026-03-01T11:59:30Z"},
		{"exp", now + 0.5, -1, ""},
		{"exp", now, -1, "expired"},
		{"exp", now - 299, 5 * time.Minute, ""},
		{"exp", nil, 0, "never expires"},
		{"exp", "1900000000", 0, "is not a time"},
		{"exp", 1e300, 0, "is not a time"},
		{"exp", -1, 0, "is not a time"},
		{"exp", object{}, 0, "is not a time"},
		{"nbf", now + 30, 0, ""},
		{"nbf", now + 31, 0, "is not good before"},
		{"nbf", now + 1, -1, "is not good before"},
		{"nbf", true, 0, "is not a time"},
		{"iat", now + 30, 0, ""},
		{"iat", now + 31, 0, "issued in the future"},
		{"iat", "x", 0, "is not a time"},
		{"iat", nil, 0, ""},
	} {
		v := i.verifier(t, func(c *auth.VerifierConfig) { c.Leeway = tt.leeway })
		_, err := v.Verify(t.Context(), key.sign(at, with(i.claims(), tt.claim, tt.value)))
		if tt.want == "" && err != nil {
			t.Errorf("%s %v: %v", tt.claim, tt.value, err)
		} else if tt.want != "" {
			wantError(t, err, tt.want)
		}
	}
}

// An application that acts for itself is called by its id.
func TestNameOfApplication(t *testing.T) {
	t.Parallel()
	key := pairs()["ES256"]
	i := newIssuer(t, "", key)
	for _, subject := range []string{"app", "app@clients"} {
		p, err := i.verifier(t).Verify(t.Context(), key.sign(at, with(i.claims(), "name", nil, "sub", subject)))
		if err != nil || p.Name != "app" || p.Subject != subject {
			t.Errorf("%s: %+v, %v", subject, p, err)
		}
	}
}

func TestAudience(t *testing.T) {
	t.Parallel()
	key := pairs()["ES256"]
	i := newIssuer(t, "", key)
	for _, tt := range []struct {
		aud  any
		any  bool
		want string
	}{
		{"api", false, ""},
		{"api2", false, ""},
		{[]string{"x", "api2"}, false, ""},
		{"other", false, `it is for the audience "other", and this is "api", "api2"`},
		{[]string{"x", "y", "z", "zz"}, false, `"x", "y", "z", …, and`},
		{[]string{}, false, "the audience nobody"},
		{nil, false, "the audience nobody"},
		{7, false, "neither a string nor a list"},
		{[]any{"api", 7}, false, "neither a string nor a list"},
		{"API", false, "is for the audience"},
		{"api ", false, "is for the audience"},
		{"other", true, ""},
		{nil, true, ""},
		{7, true, "neither a string nor a list"},
	} {
		v := i.verifier(t, func(c *auth.VerifierConfig) { c.AnyAudience = tt.any })
		_, err := v.Verify(t.Context(), key.sign(at, with(i.claims(), "aud", tt.aud)))
		if tt.want == "" && err != nil {
			t.Errorf("%v: %v", tt.aud, err)
		} else if tt.want != "" {
			wantError(t, err, tt.want)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	good := auth.VerifierConfig{Issuer: "https://id.example/", Audiences: []string{"api"}}
	for _, tt := range []struct {
		change func(*auth.VerifierConfig)
		want   string // empty if it is good
	}{
		{func(*auth.VerifierConfig) {}, ""},
		{func(c *auth.VerifierConfig) { c.Issuer = "" }, "needs the Issuer"},
		{func(c *auth.VerifierConfig) { c.Audiences = nil }, "needs the Audiences"},
		{func(c *auth.VerifierConfig) { c.Audiences, c.AnyAudience = nil, true }, ""},
		{func(c *auth.VerifierConfig) { c.Audiences = []string{"a", ""} }, "is empty"},
		{func(c *auth.VerifierConfig) { c.Algorithms = []string{"RS256", "HS256"} }, `"HS256" is none of the algorithms`},
		{func(c *auth.VerifierConfig) { c.Algorithms = []string{"none"} }, `"none" is none of the algorithms`},
		{func(c *auth.VerifierConfig) { c.Issuer = "http://id.example" }, "has no TLS"},
		{func(c *auth.VerifierConfig) { c.Issuer, c.AllowHTTP = "http://id.example", true }, ""},
		{func(c *auth.VerifierConfig) { c.Issuer = "http://localhost:8080/" }, ""},
		{func(c *auth.VerifierConfig) { c.Issuer = "http://127.0.0.1:8080/" }, ""},
		{func(c *auth.VerifierConfig) { c.Issuer = "http://[::1]:8080/" }, ""},
		{func(c *auth.VerifierConfig) { c.Issuer = "http://127.0.0.1.evil.example/" }, "has no TLS"},
		{func(c *auth.VerifierConfig) { c.Issuer = "file:///etc/passwd" }, "no plain http or https URL"},
		{func(c *auth.VerifierConfig) { c.Issuer = "ftp://id.example" }, "no http or https URL"},
		{func(c *auth.VerifierConfig) { c.Issuer = "https://id.example?x=1" }, "has a query"},
		{func(c *auth.VerifierConfig) { c.Issuer = "a name" }, "no plain http or https URL"},
		{func(c *auth.VerifierConfig) { c.Issuer, c.Keys = "a name", auth.StaticKeys() }, ""},
		{func(c *auth.VerifierConfig) { c.Issuer, c.JWKSURL = "a name", "https://id.example/keys" }, ""},
		{func(c *auth.VerifierConfig) { c.JWKSURL = "http://id.example/keys" }, "has no TLS"},
		{func(c *auth.VerifierConfig) { c.JWKSURL, c.Keys = "https://id.example/keys", auth.StaticKeys() }, "exclude each other"},
	} {
		config := good
		tt.change(&config)
		_, err := auth.NewVerifier(config)
		if tt.want == "" && err != nil {
			t.Errorf("%+v: %v", config, err)
		} else if tt.want != "" {
			wantError(t, err, tt.want)
		}
	}
}

// What a caller does to its principal is not seen by others, and the cache answers as the verification does.
func TestCachedPrincipalIsTheCallersOwn(t *testing.T) {
	t.Parallel()
	key := pairs()["ES256"]
	i := newIssuer(t, "", key)
	v := i.verifier(t)
	token := key.sign(at, i.claims())
	var before string
	for n := range 3 {
		p, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			before = dump(*p)
		} else if dump(*p) != before {
			t.Errorf("got %s\nwant %s", dump(*p), before)
		}
		p.Subject, p.Roles = "root", append(p.Roles, "admin")
	}
	if n := auth.Cached(v); n != 1 {
		t.Errorf("%d tokens are remembered, want 1", n)
	}
}

// A remembered token is refused when it has expired.
func TestCachedTokenExpires(t *testing.T) {
	t.Parallel()
	key := pairs()["ES256"]
	i := newIssuer(t, "", key)
	v := i.verifier(t)
	token := key.sign(at, i.claims())
	for _, tt := range []struct {
		advance time.Duration
		want    string
	}{{0, ""}, {10*time.Minute - time.Second, ""}, {30 * time.Second, ""}, {time.Second, "expired"}, {time.Hour, "expired"}} {
		i.clock.Advance(tt.advance)
		_, err := v.Verify(t.Context(), token)
		if tt.want == "" && err != nil {
			t.Errorf("after %v: %v", tt.advance, err)
		} else if tt.want != "" {
			wantError(t, err, tt.want)
		}
	}
}

// The number of remembered tokens is bounded, and those in use stay.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	key := pairs()["EdDSA"]
	i := newIssuer(t, "", key)
	v := i.verifier(t, func(c *auth.VerifierConfig) { c.CacheSize = 10 })
	none := i.verifier(t, func(c *auth.VerifierConfig) { c.CacheSize = -1 })
	used := key.sign(at, i.claims())
	for n := range 100 {
		if n > 0 && !auth.Remembers(v, used) {
			t.Fatalf("a token in use is forgotten after %d others", n)
		}
		if _, err := v.Verify(t.Context(), used); err != nil {
			t.Fatal(err)
		}
		token := key.sign(at, with(i.claims(), "jti", n))
		for _, one := range []*auth.Verifier{v, none} {
			if _, err := one.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := auth.Cached(v); n == 0 || n > 10 {
		t.Errorf("%d tokens are remembered, want 1 to 10", n)
	}
	if n := auth.Cached(none); n != 0 {
		t.Errorf("%d tokens are remembered, want none", n)
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	key := pairs()["ES256"]
	i := newIssuer(t, "", key)
	v := i.verifier(t)
	good := key.sign(at, i.claims())
	for _, tt := range []struct {
		name      string
		headers   []string
		known     bool
		malformed bool
		bad       bool
	}{
		{name: "none"},
		{name: "another scheme", headers: []string{"Basic dTpw"}},
		{name: "a scheme that begins alike", headers: []string{"BearerX " + good}},
		{name: "empty", headers: []string{""}},
		{name: "good", headers: []string{"Bearer " + good}, known: true},
		{name: "lower case", headers: []string{"bearer " + good}, known: true},
		{name: "upper case, spaces", headers: []string{"BEARER   " + good + " "}, known: true},
		{name: "bad", headers: []string{"Bearer x"}, bad: true},
		{name: "no token", headers: []string{"Bearer"}, malformed: true},
		{name: "no token but spaces", headers: []string{"Bearer   "}, malformed: true},
		{name: "two tokens", headers: []string{"Bearer " + good + " " + good}, malformed: true},
		{name: "a list", headers: []string{"Bearer " + good + ", Bearer " + good}, malformed: true},
		{name: "two headers", headers: []string{"Bearer " + good, "Bearer " + good}, malformed: true},
		{name: "two schemes", headers: []string{"Basic dTpw", "Bearer " + good}, malformed: true},
		{name: "a tab", headers: []string{"Bearer\t" + good}},
		{name: "padding alone", headers: []string{"Bearer =="}, malformed: true},
		{name: "in quotes", headers: []string{`Bearer "` + good + `"`}, malformed: true},
	} {
		r := httptest.NewRequest("POST", "/?access_token="+good, nil)
		for _, value := range tt.headers {
			r.Header.Add("Authorization", value)
		}
		p, err := v.Authenticate(r)
		var e *auth.TokenError
		switch refused := errors.As(err, &e); {
		case (p != nil) != tt.known, refused != (tt.malformed || tt.bad), refused && e.Malformed != tt.malformed:
			t.Errorf("%s: %v, %v", tt.name, p, err)
		case refused && !errors.Is(err, auth.ErrUnauthenticated):
			t.Errorf("%s: %v is not ErrUnauthenticated", tt.name, err)
		}
	}
}
