// Package oidc speaks the protocol of the provider: OpenID Connect Core and RP-initiated
// logout, OAuth 2.0 (RFC 6749) with PKCE (RFC 7636), device authorization (RFC 8628), token
// exchange (RFC 8693), introspection (RFC 7662), revocation (RFC 7009), resource indicators (RFC
// 8707), issuer identification (RFC 9207) and JWT access tokens (RFC 9068), under Auth0's
// paths.
//
// Routing, decoding of requests and the shapes of answers are those of the op package of
// github.com/zitadel/oidc, whose Server interface this package implements; signing in, logging out
// and the password grant are handlers of its own (docs/decisions/0029-provider-library.md says
// why).
//
// A request is one unit of work: codes, tokens and the entries of the audit log that it
// makes are committed before it is answered. A refusal commits as well, because it may have
// revoked something.
package oidc
