package oidc

import (
	"context"
	"errors"
	"net/http"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// server implements op.Server: what the library calls when it has routed and decoded a request.
type server struct {
	op.UnimplementedServer
	p *Provider
}

// answer turns what a method found into the library's answer. What is no refusal is a failure, and lets the unit
// of work end without a commit.
func (s *server) answer(ctx context.Context, fn func() (any, error)) (*op.Response, error) {
	data, err := fn()
	if err == nil {
		return op.NewResponse(data), nil
	}
	if refused := (*refusal)(nil); !errors.As(err, &refused) {
		requestOf(ctx).fault = err
	}
	return nil, asLibrary(err)
}

// VerifyClient implements op.Server.
func (s *server) VerifyClient(ctx context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	c, err := s.p.authenticate(ctx, credentials{
		id: r.Data.ClientID, secret: r.Data.ClientSecret, assertion: r.Data.ClientAssertion,
		device:       r.URL.Path == PathDevice,
		subjectToken: r.Form.Get("grant_type") == grantExchange,
	})
	if err != nil {
		if refused := (*refusal)(nil); !errors.As(err, &refused) {
			requestOf(ctx).fault = err
		}
		return nil, asLibrary(err)
	}
	return c, nil
}

// Discovery implements op.Server.
func (s *server) Discovery(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	response := op.NewResponse(s.p.Discovery())
	response.Header.Set("Cache-Control", "public, max-age=300")
	return response, nil
}

// discovery is the metadata of the provider (OpenID Connect Discovery, RFC 8414), with what the library's type
// does not have.
type discovery struct {
	oidc.DiscoveryConfiguration
	IssInResponse bool `json:"authorization_response_iss_parameter_supported"`
}

// Discovery is the discovery document, which says what works and nothing else.
func (p *Provider) Discovery() any {
	grants := []oidc.GrantType{grantCode, grantRefresh, grantClient, grantDevice, grantExchange, grantJWT}
	if p.options.People != nil {
		grants = append(grants, grantPassword)
	}
	methods := []oidc.AuthMethod{oidc.AuthMethodPost, oidc.AuthMethodBasic, oidc.AuthMethodPrivateKeyJWT, oidc.AuthMethodNone}
	var algs []string
	for _, one := range asymmetric {
		algs = append(algs, string(one))
	}
	return discovery{
		DiscoveryConfiguration: oidc.DiscoveryConfiguration{
			Issuer:                                             p.env.Issuer,
			AuthorizationEndpoint:                              p.url(PathAuthorize),
			TokenEndpoint:                                      p.url(PathToken),
			IntrospectionEndpoint:                              p.url(PathIntrospect),
			UserinfoEndpoint:                                   p.url(PathUserinfo),
			RevocationEndpoint:                                 p.url(PathRevoke),
			EndSessionEndpoint:                                 p.url(PathLogout),
			DeviceAuthorizationEndpoint:                        p.url(PathDevice),
			JwksURI:                                            p.url(PathKeys),
			ScopesSupported:                                    []string{scopeOpenID, scopeProfile, scopeEmail, scopePhone, scopeOffline},
			ResponseTypesSupported:                             []string{"code"},
			ResponseModesSupported:                             []string{"query", "form_post"},
			GrantTypesSupported:                                grants,
			ACRValuesSupported:                                 []string{acrMFA},
			SubjectTypesSupported:                              []string{"public"},
			IDTokenSigningAlgValuesSupported:                   signingAlgorithms(),
			TokenEndpointAuthMethodsSupported:                  methods,
			TokenEndpointAuthSigningAlgValuesSupported:         algs,
			RevocationEndpointAuthMethodsSupported:             methods,
			RevocationEndpointAuthSigningAlgValuesSupported:    algs,
			IntrospectionEndpointAuthMethodsSupported:          methods[:3],
			IntrospectionEndpointAuthSigningAlgValuesSupported: algs,
			ClaimTypesSupported:                                []string{"normal"},
			ClaimsSupported: []string{
				"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "acr", "sid", "at_hash",
				"name", "given_name", "family_name", "nickname", "preferred_username", "picture",
				"email", "email_verified", "phone_number", "phone_number_verified",
			},
			CodeChallengeMethodsSupported: []oidc.CodeChallengeMethod{oidc.CodeChallengeMethodS256},
		},
		IssInResponse: true,
	}
}

// unauthorized says in a header how a client authenticates, to one that has tried it by a header (RFC 6749
// section 5.2).
func unauthorized(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		if a, ok := w.(*answer); ok && a.status == http.StatusUnauthorized && requestOf(r.Context()).basic {
			a.header.Set("WWW-Authenticate", `Basic realm="token endpoint"`)
		}
	})
}
