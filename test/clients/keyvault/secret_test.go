package keyvault_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/perdure/perdure/vault"
)

// robot makes an application with a secret.
func (s *shop) robot(t *testing.T) (id, secret string) {
	t.Helper()
	var app struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	s.administer(t, "POST", "identity/api/v2/clients", map[string]any{
		"name": "Robot", "app_type": "non_interactive", "grant_types": []string{"client_credentials"},
	}, &app)
	return app.ID, app.Secret
}

// An application reads, by its own secret, the secrets that it was given, and learns nothing of the others.
func TestClientSecret(t *testing.T) {
	t.Parallel()
	s, ctx := openShop(t), t.Context()
	id, secret := s.robot(t)
	// The vault's own port is an authority too, for whose provider has none with TLS.
	o := clientOptions(s.client)
	o.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: "https://vault.localhost:" + s.port}
	clientOf := func() *azsecrets.Client {
		credential, err := azidentity.NewClientSecretCredential("default", id, secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: true})
		must(t, err)
		c, err := azsecrets.NewClient(s.url(), credential, &azsecrets.ClientOptions{ClientOptions: clientOptions(s.client)})
		must(t, err)
		return c
	}
	if _, err := clientOf().GetSecret(ctx, "db-password", "", nil); err == nil {
		t.Error("an application without a grant got a secret")
	}

	grant := s.grant(t, "app:"+id, "secrets-officer", "db-*")
	c := clientOf()
	_, err := c.SetSecret(ctx, "db-password", azsecrets.SetSecretParameters{Value: to.Ptr("hunter2")}, nil)
	must(t, err)
	got, err := c.GetSecret(ctx, "db-password", "", nil)
	must(t, err)
	if *got.Value != "hunter2" || string(*got.ID) != s.url()+"/secrets/db-password/"+got.ID.Version() || *got.Attributes.RecoverableDays != 7 {
		t.Errorf("got %v", got)
	}
	_, err = c.GetSecret(ctx, "db-nothing", "", nil)
	wantCode(t, "what is not there", err, 404, "SecretNotFound")
	_, err = c.GetSecret(ctx, "other", "", nil)
	wantCode(t, "what it was not given", err, 403, "Forbidden")
	listed := 0
	for pager := c.NewListSecretPropertiesPager(nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		must(t, err)
		listed += len(page.Value)
	}
	if listed != 1 {
		t.Errorf("%d secrets are listed, want 1", listed)
	}

	s.administer(t, "DELETE", "vault/grants/"+grant, nil, nil)
	_, err = c.GetSecret(ctx, "db-password", "", nil)
	wantCode(t, "after the grant was taken away", err, 403, "Forbidden")
}

// A token that the provider issued for another API is not good for the vault.
func TestOtherAudience(t *testing.T) {
	t.Parallel()
	s := openShop(t, vault.Grant{Member: "self", Role: "administrator", Vault: "shop"})
	ask := func(audience string) *http.Response {
		t.Helper()
		token, err := s.app.TokenSource(audience).Token()
		must(t, err)
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.url()+"/secrets?api-version=7.4", nil)
		must(t, err)
		r.Header.Set("Authorization", "Bearer "+token.AccessToken)
		res, err := s.client.Do(r)
		must(t, err)
		must(t, res.Body.Close())
		return res
	}
	resource := "https://vault.localhost:" + s.port
	if res := ask(resource); res.StatusCode != http.StatusOK {
		t.Errorf("its own: %s", res.Status)
	}
	res := ask("https://shop.example.com")
	challenge := res.Header.Get("WWW-Authenticate")
	if res.StatusCode != http.StatusUnauthorized || !strings.Contains(challenge, `error="invalid_token"`) || !strings.Contains(challenge, `resource="`+resource+`"`) {
		t.Errorf("another: %s %s", res.Status, challenge)
	}
}
