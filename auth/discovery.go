package auth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// discoveryURL returns where the discovery document of an issuer is (OpenID Connect Discovery 1.0, section 4).
func discoveryURL(issuer string) (string, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return "", fmt.Errorf("auth: the issuer %q is no URL: %w", issuer, err)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("auth: the issuer %q has a query or a fragment", issuer)
	}
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration", nil
}

// discover fetches the discovery document of an issuer and returns where its keys are.
func (f *fetcher) discover(ctx context.Context, issuer string) (jwksURL string, err error) {
	address, err := discoveryURL(issuer)
	if err != nil {
		return "", err
	}
	body, _, err := f.get(ctx, address)
	if err != nil {
		return "", err
	}
	jwksURL, err = parseDiscovery(body, issuer)
	if err != nil {
		return "", fmt.Errorf("%s: %w", address, err)
	}
	return jwksURL, nil
}

// parseDiscovery reads a discovery document. It must name the issuer as the tokens do: somebody else's
// document would lead to somebody else's keys.
func parseDiscovery(body []byte, issuer string) (jwksURL string, err error) {
	document, err := parseObject(body, maxDepth)
	if err != nil {
		return "", err
	}
	named, _ := document["issuer"].(string)
	if named != issuer {
		if strings.TrimSuffix(named, "/") == strings.TrimSuffix(issuer, "/") {
			return "", fmt.Errorf("it is about the issuer %q, and %q is configured: they differ in the trailing slash alone", named, issuer)
		}
		return "", fmt.Errorf("it is about the issuer %.200q, and %q is configured", named, issuer)
	}
	jwksURL, _ = document["jwks_uri"].(string)
	if jwksURL == "" {
		return "", errors.New("it has no jwks_uri")
	}
	return jwksURL, nil
}
