package directory_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
)

// wantField wants an error about a field, or none if it is empty.
func wantField(t *testing.T, about string, err error, field string) {
	t.Helper()
	var fault *directory.FieldError
	switch {
	case field == "" && err != nil:
		t.Errorf("%.100q: %v, want it to be allowed", about, err)
	case field != "" && (!errors.As(err, &fault) || fault.Field != field):
		t.Errorf("%.100q: %v, want an error about %s", about, err, field)
	}
}

func TestEmailAddresses(t *testing.T) {
	t.Parallel()
	for address, good := range map[string]bool{
		"ann@example.org":                      true,
		"Ann.Lee+x@sub.example.org":            true,
		"o'neil@example.org":                   true,
		"a@xn--bcher-kva.example":              true,
		"ann@localhost":                        true,
		"":                                     false,
		"ann":                                  false,
		"@example.org":                         false,
		"ann@":                                 false,
		"ann@@example.org":                     false,
		"ann@exam ple.org":                     false,
		"ann@-example.org":                     false,
		"ann@example..org":                     false,
		"Ann <ann@example.org>":                false,
		"ann@example.org, bob@example.org":     false,
		"ann@example.org\r\nBcc: bob@x.org":    false,
		"ann@example.org\x00":                  false,
		"mi\u212Ae@example.org":                false, // the Kelvin sign is k in lower case
		"\u0430nn@example.org":                 false, // a Cyrillic а
		"ann@ex\u200Bample.org":                false,
		`"ann b"@example.org`:                  false,
		"ann@[127.0.0.1]":                      false,
		"ann(comment)@example.org":             false,
		strings.Repeat("a", 65) + "@x.org":     false,
		"a@" + strings.Repeat("a.", 130) + "b": false,
	} {
		if err := directory.CheckEmail("email", address); (err == nil) != good {
			t.Errorf("%q: %v, want good %v", address, err, good)
		}
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	for _, c := range []struct {
		kind, url string
		good      bool
	}{
		{directory.TypeRegularWeb, "https://app.example.org/callback?x=1", true},
		{directory.TypeRegularWeb, "http://localhost:3000/callback", true},
		{directory.TypeRegularWeb, "http://127.0.0.1/", true},
		{directory.TypeRegularWeb, "http://[::1]:80/", true},
		{directory.TypeNative, "org.example.app:/callback", true},
		{directory.TypeNative, "org.example.app://callback", true},
		{directory.TypeRegularWeb, "org.example.app:/callback", false},
		{directory.TypeNative, "myapp://callback", false},
		{directory.TypeNative, "javascript:alert(1)", false},
		{directory.TypeNative, "JavaScript:alert(1)", false},
		{directory.TypeNative, "data:text/html,x", false},
		{directory.TypeNative, "file:///etc/passwd", false},
		{directory.TypeRegularWeb, "http://app.example.org/", false},
		{directory.TypeRegularWeb, "http://localhost.example.org/", false},
		{directory.TypeRegularWeb, "http://127.0.0.1.example.org/", false},
		{directory.TypeRegularWeb, "https://*.example.org/", false},
		{directory.TypeRegularWeb, "https://app.example.org/#x", false},
		{directory.TypeRegularWeb, "https://app.example.org/#", false},
		{directory.TypeRegularWeb, "https://user@example.org/", false},
		{directory.TypeRegularWeb, "https://good.example.org\\@evil.example.org/", false},
		{directory.TypeRegularWeb, "//app.example.org/", false},
		{directory.TypeRegularWeb, "/callback", false},
		{directory.TypeRegularWeb, "https:app.example.org", false},
		{directory.TypeRegularWeb, "https://", false},
		{directory.TypeRegularWeb, "https://app.example.org/a b", false},
		{directory.TypeRegularWeb, "https://app.example.org/\n", false},
		{directory.TypeRegularWeb, "https://\u0430pp.example.org/", false},
		{directory.TypeRegularWeb, "", false},
		{directory.TypeRegularWeb, "https://a.example/" + strings.Repeat("x", 2048), false},
	} {
		field := "callbacks[0]"
		if c.good {
			field = ""
		}
		wantField(t, c.url, w.Unit(t.Context(), func(ctx context.Context) error {
			_, _, err := w.CreateApplication(ctx, directory.Command, &directory.Application{Name: "x", Type: c.kind, Callbacks: []string{c.url}})
			return err
		}), field)
	}
}

func TestValuesOfApplications(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	many := make([]string, 101)
	for i := range many {
		many[i] = "https://x.example/" + strings.Repeat("x", i)
	}
	deep := map[string]any{}
	for range 30 {
		deep = map[string]any{"a": deep}
	}
	for field, a := range map[string]*directory.Application{
		"name":                       {},
		"callbacks":                  {Name: "x", Callbacks: many},
		"callbacks[1]":               {Name: "x", Callbacks: []string{"https://x/", "https://x/"}},
		"app_type":                   {Name: "x", Type: "robot"},
		"grant_types[0]":             {Name: "x", GrantTypes: []string{"implicit"}},
		"grant_types":                {Name: "x", AuthMethod: directory.MethodNone, GrantTypes: []string{directory.GrantClient}},
		"token_endpoint_auth_method": {Name: "x", AuthMethod: "magic"},
		"web_origins[0]":             {Name: "x", WebOrigins: []string{"https://x.example/path"}},
		"connections[0]":             {Name: "x", Connections: []string{"none"}},
		"public_keys[0]":             {Name: "x", Keys: []json.RawMessage{json.RawMessage(`{"kty":"oct","k":"AAAA"}`)}},
		"public_keys":                {Name: "x", AuthMethod: directory.MethodPrivateKey},
		"client_metadata":            {Name: "x", Metadata: deep},
		"id_token_lifetime":          {Name: "x", IDTokenLifetime: 31 * 86400},
		"client_id":                  {Name: "x", ClientID: "a|b"},
		"federated[0].issuer":        {Name: "x", Federated: []directory.TrustRule{{Name: "a", Issuer: "ftp://x", Subject: "b"}}},
		"id_token_alg":               {Name: "x", IDTokenAlg: "none"},
		"logo_uri":                   {Name: "x", LogoURI: "javascript:x"},
	} {
		wantField(t, field, w.Unit(t.Context(), func(ctx context.Context) error {
			_, _, err := w.CreateApplication(ctx, directory.Command, a)
			return err
		}), field)
	}
}

func TestValuesOfUsers(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	db := directory.DefaultConnection
	for field, u := range map[string]*directory.User{
		"connection":    {Connection: "none", Email: "a@x.org"},
		"email":         {Connection: db, Email: "a"},
		"username":      {Connection: db, Email: "a@x.org", Username: "a@b"},
		"name":          {Connection: db, Email: "a@x.org", Name: "ann\u202Enna"},
		"nickname":      {Connection: db, Email: "a@x.org", Nickname: strings.Repeat("x", 301)},
		"given_name":    {Connection: db, Email: "a@x.org", GivenName: "a\nb"},
		"picture":       {Connection: db, Email: "a@x.org", Picture: "javascript:x"},
		"phone_number":  {Connection: db, Email: "a@x.org", PhoneNumber: "0301234"},
		"user_metadata": {Connection: db, Email: "a@x.org", UserMetadata: map[string]any{"a": strings.Repeat("x", 65<<10)}},
		"user_id":       {Connection: db, Email: "a@x.org", ID: "x@clients"},
		"roles[0]":      {Connection: db, Email: "a@x.org", Rights: directory.Rights{RoleIDs: []string{"rol_none"}}},
	} {
		wantField(t, field, w.Unit(t.Context(), func(ctx context.Context) error {
			_, err := w.CreateUser(ctx, directory.Command, u)
			return err
		}), field)
	}
}

func TestValuesOfAPIsAndRoles(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	for field, a := range map[string]*directory.API{
		"identifier":      {Identifier: "a b"},
		"scopes[0].value": {Identifier: "x", Permissions: []directory.Permission{{Value: `a"b`}}},
		"scopes[1].value": {Identifier: "x", Permissions: []directory.Permission{{Value: "a"}, {Value: "a"}}},
		"scopes":          {Identifier: "x", Permissions: make([]directory.Permission, 1001)},
		"signing_alg":     {Identifier: "x", SigningAlg: "HS256"},
		"token_lifetime":  {Identifier: "x", TokenLifetime: -1},
		"token_dialect":   {Identifier: "x", TokenDialect: "x"},
	} {
		wantField(t, field, w.Unit(t.Context(), func(ctx context.Context) error {
			_, err := w.CreateAPI(ctx, directory.Command, a)
			return err
		}), field)
	}
	w.NewAPI(t, api, "read:x")
	for field, r := range map[string]*directory.Role{
		"name":           {},
		"permissions[0]": {Name: "x", Permissions: []directory.APIPermission{{API: api, Name: "write:x"}}},
	} {
		wantField(t, field, w.Unit(t.Context(), func(ctx context.Context) error {
			_, err := w.CreateRole(ctx, directory.Command, r)
			return err
		}), field)
	}
}

// What an issuer upstream says is tidied, and can be kept then.
func FuzzTidy(f *testing.F) {
	f.Add("Ann", "ann@example.org", "https://x.example/p.png", "+49")
	f.Add("a\x00\u202E\xff", "a@b\n", "javascript:x", "x")
	w := directorytest.New(f)
	f.Fuzz(func(t *testing.T, name, email, picture, phone string) {
		u := &directory.User{Connection: directory.DefaultConnection, Username: "u", Name: name, Nickname: name, Email: email, Picture: picture, PhoneNumber: phone}
		u.Tidy()
		errKeep := errors.New("nothing is kept")
		err := w.Unit(t.Context(), func(ctx context.Context) error {
			if _, err := w.CreateUser(ctx, directory.Command, u); err != nil {
				return err
			}
			return errKeep
		})
		if !errors.Is(err, errKeep) {
			t.Fatal(err)
		}
	})
}
