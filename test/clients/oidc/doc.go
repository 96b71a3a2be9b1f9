// Package oidc runs clients that nobody here wrote against the provider: golang.org/x/oauth2 with coreos/go-oidc, and the
// clients of zitadel/oidc. People sign in on the provider's own pages. It has tests alone.
package oidc
