package main

import (
	"net/http"
	"slices"
	"strings"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
)

// secured returns c with an authenticator that takes the names of roles for tokens: most
// tests are about files, not about tokens, which TestDemoMode has real ones of.
func secured(c perdure.Config) perdure.Config {
	c.Auth = auth.AuthenticatorFunc(func(r *http.Request) (*auth.Principal, error) {
		name, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			return nil, nil
		}
		for _, role := range roles {
			if name == role.Name {
				who := &auth.Principal{
					Subject: "the " + name, Name: name, Issuer: "test",
					Roles: []string{name}, Permissions: slices.Sorted(slices.Values(role.Permissions)),
				}
				return who, nil
			}
		}
		return nil, &auth.TokenError{Reason: "there is no such role"}
	})
	c.Policy = auth.Authenticated()
	return c
}

// actor returns who sends a request in tests that do not say: whoever may. Signed links
// and what is open to all are asked for by nobody.
func actor(path string) string {
	path, _, _ = strings.Cut(path, "?")
	switch {
	case path == "/api/file/add":
		return "uploader"
	case strings.HasPrefix(path, "/api/approve/download/"):
		return "download-approver"
	case strings.HasPrefix(path, "/api/approve/"):
		return "upload-approver"
	case strings.HasPrefix(path, "/api/"), path == "/", strings.HasPrefix(path, "/assets/"):
		return "uploader"
	}
	return ""
}
