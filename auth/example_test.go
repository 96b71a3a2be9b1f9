package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/perdure/perdure/auth"
)

// A policy decides, and explains itself, without any server.
func ExamplePolicy_Decide() {
	type document struct{ Author string }
	approve := auth.All(
		auth.Permission("approve:documents"),
		auth.Resource("it is not the own document", func(_ context.Context, p *auth.Principal, d document) error {
			if d.Author == p.Subject {
				return errors.New("nobody approves the own document")
			}
			return nil
		}),
	)
	ada := &auth.Principal{Subject: "ada", Permissions: []string{"approve:documents"}}
	bob := &auth.Principal{Subject: "bob"}

	fmt.Println(approve)
	for _, who := range []*auth.Principal{ada, bob} {
		for _, author := range []string{"ada", "carol"} {
			d := approve.Decide(context.Background(), who, document{Author: author})
			fmt.Printf("%s, document of %s: %v %q\n", who.Subject, author, d.Verdict, d.Why())
		}
	}
	// Output:
	// permission approve:documents and it is not the own document
	// ada, document of ada: denied "nobody approves the own document"
	// ada, document of carol: allowed ""
	// bob, document of ada: denied "the permission approve:documents is needed"
	// bob, document of carol: denied "the permission approve:documents is needed"
}

// A handler of net/http behind a policy. Whoever finds out who sent a request is an Authenticator.
func ExampleMiddleware() {
	byKey := auth.AuthenticatorFunc(func(r *http.Request) (*auth.Principal, error) {
		switch r.Header.Get("X-Key") {
		case "":
			return nil, nil
		case "ada's key":
			return &auth.Principal{Subject: "ada", Permissions: []string{"read:files"}}, nil
		}
		return nil, &auth.TokenError{Reason: "the key is not known"}
	})
	files := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "the files of %s", auth.From(r.Context()).Subject)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /files", auth.Middleware(byKey, auth.Permission("read:files"), files))
	mux.Handle("DELETE /files", auth.Middleware(byKey, auth.Permission("delete:files"), files))

	for _, ask := range []struct{ method, key string }{{"GET", "ada's key"}, {"GET", ""}, {"GET", "x"}, {"DELETE", "ada's key"}} {
		r := httptest.NewRequest(ask.method, "/files", nil)
		r.Header.Set("X-Key", ask.key)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 the files of ada
	// 401 {"detail":"This needs credentials: send a bearer token.","status":401,"title":"Unauthorized"}
	// 401 {"detail":"Not authenticated: the key is not known.","status":401,"title":"Unauthorized"}
	// 403 {"detail":"Not allowed: the permission delete:files is needed.","missing":["permission delete:files"],"status":403,"title":"Forbidden"}
}

// The tokens of any OpenID Connect issuer: its name, the name of this API there, and nothing else.
func ExampleVerifier() {
	key := pairs()["ES256"]
	mux := http.NewServeMux()
	issuer := httptest.NewServer(mux) // stands for Auth0, Entra, Keycloak or another
	defer issuer.Close()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]string{"issuer": issuer.URL + "/", "jwks_uri": issuer.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"keys": []any{key.jwk()}})
	})

	verifier, err := auth.NewVerifier(auth.VerifierConfig{Issuer: issuer.URL + "/", Audiences: []string{"https://api.example/"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	token := key.sign(object{"typ": "at+jwt"}, object{
		"iss": issuer.URL + "/", "aud": "https://api.example/", "sub": "auth0|42", "name": "Ada", "scope": "openid files",
		"permissions": []string{"read:files"}, "exp": time.Now().Add(time.Hour).Unix(),
	})
	p, err := verifier.Verify(context.Background(), token)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Subject, p.Name, p.Scopes, p.Permissions)

	_, err = verifier.Verify(context.Background(), token+"AAAA")
	fmt.Println(errors.Is(err, auth.ErrUnauthenticated), err)
	// Output:
	// auth0|42 Ada [files openid] [read:files]
	// true auth: the token is not accepted: its signature is not good
}
