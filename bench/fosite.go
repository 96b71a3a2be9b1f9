package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/storage"
	fositejwt "github.com/ory/fosite/token/jwt"
)

func newFosite(d deps) (engine, facts, error) {
	return &provider{name: "fosite", deps: d}, facts{
		version: moduleVersion("github.com/ory/fosite"), store: "memory (the library's)", durability: "none: nothing is kept",
	}, nil
}

const (
	fositeClient = "bench"
	fositeUser   = "user"
)

// fositeSession has the claims of the access token, which is a JWT, and of the ID token.
type fositeSession struct {
	*oauth2.JWTSession
	id *openid.DefaultSession
}

func newFositeSession(issuer, subject string) *fositeSession {
	id := openid.NewDefaultSession()
	id.Subject, id.Claims.Subject, id.Claims.Issuer = subject, subject, issuer
	return &fositeSession{
		JWTSession: &oauth2.JWTSession{
			JWTClaims: &fositejwt.JWTClaims{Issuer: issuer, Subject: subject},
			JWTHeader: &fositejwt.Headers{Extra: map[string]any{"kid": verifyKeyID}},
			Subject:   subject,
		},
		id: id,
	}
}

// IDTokenClaims implements openid.Session.
func (s *fositeSession) IDTokenClaims() *fositejwt.IDTokenClaims { return s.id.Claims }

// IDTokenHeaders implements openid.Session.
func (s *fositeSession) IDTokenHeaders() *fositejwt.Headers { return s.id.Headers }

// Clone implements fosite.Session.
func (s *fositeSession) Clone() fosite.Session {
	return &fositeSession{s.JWTSession.Clone().(*oauth2.JWTSession), s.id.Clone().(*openid.DefaultSession)}
}

// digestHasher keeps the digest of a secret, as is right for secrets that are random. The library's own is bcrypt, for
// secrets that people choose: it would take a hundred times longer than all the rest.
type digestHasher struct{}

// Hash implements fosite.Hasher.
func (digestHasher) Hash(_ context.Context, data []byte) ([]byte, error) {
	digest := sha256.Sum256(data)
	return digest[:], nil
}

// Compare implements fosite.Hasher.
func (digestHasher) Compare(_ context.Context, hash, data []byte) error {
	if digest := sha256.Sum256(data); subtle.ConstantTimeCompare(hash, digest[:]) == 1 {
		return nil
	}
	return errors.New("the secret is wrong")
}

// serveFosite serves a token endpoint made of the library's handlers, with its storage in memory.
func serveFosite(ctx context.Context, s serving) (*offer, error) {
	key, err := newKey(s.Algorithm)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	issuer := fmt.Sprintf("http://127.0.0.1:%d", port)
	secret := rand.Text()
	digest, err := digestHasher{}.Hash(ctx, []byte(secret))
	if err != nil {
		return nil, err
	}
	store := storage.NewMemoryStore()
	store.Users[fositeUser] = storage.MemoryUserRelation{Username: fositeUser, Password: secret}
	store.Clients[fositeClient] = &fosite.DefaultClient{
		ID: fositeClient, Secret: digest, Audience: []string{perdureAudience},
		GrantTypes: []string{"client_credentials", "password", "refresh_token"}, Scopes: []string{"openid", "offline_access"},
	}
	mux := http.NewServeMux()
	mux.Handle("POST /token", &fositeEndpoint{issuer, newFositeProvider(key, store, issuer)})
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: key.Public(), KeyID: verifyKeyID, Algorithm: s.Algorithm, Use: "sig"},
	}})
	if err != nil {
		return nil, err
	}
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(keys) // a client that does not get it says so
	})
	o := &offer{
		Issuer: issuer, TokenURL: issuer + "/token", KeysURL: issuer + "/keys", Audience: perdureAudience,
		ClientID: fositeClient, Secret: secret, AppID: fositeClient, AppSecret: secret,
	}
	for range s.SignIns {
		token, err := fositeSignIn(mux, secret)
		if err != nil {
			return nil, err
		}
		o.RefreshTokens = append(o.RefreshTokens, token)
	}
	serveHTTP(ctx, port, mux)
	return o, nil
}

func newFositeProvider(key crypto.Signer, store *storage.MemoryStore, issuer string) fosite.OAuth2Provider {
	config := &fosite.Config{
		AccessTokenIssuer: issuer, IDTokenIssuer: issuer, AccessTokenLifespan: time.Hour,
		GlobalSecret: []byte(rand.Text() + rand.Text()), ClientSecretsHasher: digestHasher{},
	}
	private := func(context.Context) (any, error) { return key, nil }
	strategy := &compose.CommonStrategy{
		CoreStrategy:               compose.NewOAuth2JWTStrategy(private, compose.NewOAuth2HMACStrategy(config), config),
		OpenIDConnectTokenStrategy: compose.NewOpenIDConnectStrategy(private, config),
		Signer:                     &fositejwt.DefaultSigner{GetPrivateKey: private},
	}
	return compose.Compose(config, store, strategy,
		compose.OAuth2ClientCredentialsGrantFactory, compose.OAuth2RefreshTokenGrantFactory,
		compose.OAuth2ResourceOwnerPasswordCredentialsFactory, compose.OpenIDConnectRefreshFactory)
}

// fositeEndpoint is the token endpoint as the library's documentation has it.
type fositeEndpoint struct {
	issuer   string
	provider fosite.OAuth2Provider
}

// ServeHTTP implements http.Handler.
func (e *fositeEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	request, err := e.provider.NewAccessRequest(ctx, r, newFositeSession(e.issuer, fositeUser))
	if err != nil {
		e.provider.WriteAccessError(ctx, w, request, err)
		return
	}
	for _, scope := range request.GetRequestedScopes() {
		request.GrantScope(scope)
	}
	for _, audience := range request.GetRequestedAudience() {
		request.GrantAudience(audience)
	}
	response, err := e.provider.NewAccessResponse(ctx, request)
	if err != nil {
		e.provider.WriteAccessError(ctx, w, request, err)
		return
	}
	e.provider.WriteAccessResponse(ctx, w, request, response)
}

// fositeSignIn signs the user in and returns the refresh token.
func fositeSignIn(endpoint http.Handler, secret string) (string, error) {
	form := url.Values{
		"grant_type": {"password"}, "client_id": {fositeClient}, "client_secret": {secret},
		"username": {fositeUser}, "password": {secret}, "scope": {"openid offline_access"}, "audience": {perdureAudience},
	}
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	endpoint.ServeHTTP(w, r)
	var answer tokenAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		return "", err
	}
	if answer.RefreshToken == "" {
		return "", fmt.Errorf("no refresh token: %.300s", w.Body)
	}
	return answer.RefreshToken, nil
}
