package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/perdure/perdure/auth/login"
)

// management reads from the issuer's management API, in the shapes of Auth0's v2, as the application itself.
type management struct {
	api    string // with a slash at its end
	client *http.Client
}

func newManagement(config login.Config) *management {
	issuer := strings.TrimSuffix(config.Issuer, "/")
	api := issuer + "/api/v2/"
	credentials := clientcredentials.Config{
		ClientID: config.ClientID, ClientSecret: config.ClientSecret, TokenURL: issuer + "/oauth/token",
		EndpointParams: url.Values{"audience": {api}},
	}
	// The client gets a token when it is first needed, and the next when that one expires.
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Timeout: 10 * time.Second})
	client := credentials.Client(ctx)
	client.Timeout = 10 * time.Second
	return &management{api, client}
}

// user returns what the issuer knows of a user.
func (m *management) user(ctx context.Context, id string) (map[string]any, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.api+"users/"+url.PathEscape(id), nil)
	if err != nil {
		return nil, err
	}
	resp, err := m.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the management API answers %s", resp.Status)
	}
	var user map[string]any
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&user); err != nil {
		return nil, fmt.Errorf("the answer of the management API: %w", err)
	}
	return user, nil
}
