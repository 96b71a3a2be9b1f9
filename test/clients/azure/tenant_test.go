package azure_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// tenant is the name of the provider's tenant.
const tenant = "default"

// options are those of azidentity for an issuer that is not Microsoft's.
func (s *shop) options() azcore.ClientOptions {
	return azcore.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: s.issuer},
		Transport: s.client, Retry: policy.RetryOptions{MaxRetries: -1},
	}
}

// token asks a credential.
func token(t *testing.T, c azcore.TokenCredential, err error, scopes ...string) (string, error) {
	t.Helper()
	must(t, err)
	if len(scopes) == 0 {
		scopes = []string{scope}
	}
	got, err := c.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: scopes})
	if err == nil && !got.ExpiresOn.After(time.Now()) {
		t.Errorf("the token has expired at %v", got.ExpiresOn)
	}
	return got.Token, err
}

// robot makes an application with a secret, which may read orders. More is further members.
func (s *shop) robot(t *testing.T, more map[string]any) (id, secret string) {
	t.Helper()
	body := map[string]any{"name": "Robot", "app_type": "non_interactive", "grant_types": []string{"client_credentials"}}
	for k, v := range more {
		body[k] = v
	}
	app := s.administer(t, "POST", "clients", body)
	id = app["client_id"].(string)
	secret, _ = app["client_secret"].(string)
	s.administer(t, "POST", "client-grants", map[string]any{"client_id": id, "audience": api, "scope": []string{"read:orders"}})
	return id, secret
}

// key makes a key, and its public half in PEM.
func key(t *testing.T) (*rsa.PrivateKey, string) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	must(t, err)
	return private, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
}

func publicKey(text, alg string) map[string]any {
	return map[string]any{"client_authentication_methods": map[string]any{"private_key_jwt": map[string]any{
		"credentials": []map[string]any{{"credential_type": "public_key", "name": "key", "alg": alg, "pem": text}},
	}}}
}

func TestClientSecret(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	id, secret := s.robot(t, nil)
	o := &azidentity.ClientSecretCredentialOptions{ClientOptions: s.options(), DisableInstanceDiscovery: true}
	c, err := azidentity.NewClientSecretCredential(tenant, id, secret, o)
	got, err := token(t, c, err)
	must(t, err)
	s.good(t, got, id+"@clients", "read:orders")

	c, err = azidentity.NewClientSecretCredential(tenant, id, secret+"x", o)
	_, err = token(t, c, err)
	wantError(t, "wrong secret", err, "401", "invalid_client", "7000215", "correlation_id")
	c, err = azidentity.NewClientSecretCredential(tenant, "nobody", secret, o)
	_, err = token(t, c, err)
	wantError(t, "unknown client", err, "invalid_client")
	c, err = azidentity.NewClientSecretCredential(tenant, id, secret, o)
	_, err = token(t, c, err, "https://nothing.example/.default")
	wantError(t, "unknown resource", err, "invalid_target", "500011")
	_, err = token(t, c, nil, s.issuer+"api/v2//.default")
	wantError(t, "resource without a grant", err, "access_denied")
	c, err = azidentity.NewClientSecretCredential("other", id, secret, o)
	_, err = token(t, c, err)
	wantError(t, "another tenant", err)
	_, client := s.managed(t, "Worker", nil)
	c, err = azidentity.NewClientSecretCredential(tenant, client, secret, o)
	_, err = token(t, c, err)
	wantError(t, "a managed identity, which has no secret", err, "invalid_client")
}

func TestClientAssertion(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	private, public := key(t)
	id, _ := s.robot(t, publicKey(public, "RS256"))
	ask := func(change func(*jwt.Claims), by crypto.Signer) (string, error) {
		c, err := azidentity.NewClientAssertionCredential(tenant, id, func(context.Context) (string, error) {
			now := time.Now()
			claims := jwt.Claims{
				Issuer: id, Subject: id, Audience: jwt.Audience{s.issuer + "default/oauth2/v2.0/token"}, ID: rand.Text(),
				IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(5 * time.Minute)),
			}
			if change != nil {
				change(&claims)
			}
			return sign(t, by, "", claims), nil
		}, &azidentity.ClientAssertionCredentialOptions{ClientOptions: s.options(), DisableInstanceDiscovery: true})
		return token(t, c, err)
	}
	got, err := ask(nil, private)
	must(t, err)
	s.good(t, got, id+"@clients", "read:orders")
	other, _ := key(t)
	for name, one := range map[string]struct {
		change func(*jwt.Claims)
		by     crypto.Signer
	}{
		"another's key":    {nil, other},
		"another audience": {func(c *jwt.Claims) { c.Audience = jwt.Audience{"https://other.example/"} }, private},
		"another client":   {func(c *jwt.Claims) { c.Subject = "other" }, private},
		"expired":          {func(c *jwt.Claims) { c.Expiry = jwt.NewNumericDate(time.Now().Add(-time.Hour)) }, private},
	} {
		_, err := ask(one.change, one.by)
		wantError(t, name, err, "invalid_client", "700027")
	}
	_, err = ask(func(c *jwt.Claims) { c.ID = "once" }, private)
	must(t, err)
	_, err = ask(func(c *jwt.Claims) { c.ID = "once" }, private)
	wantError(t, "RFC 7523 section 3: an assertion that comes again", err, "invalid_client")
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	private, public := key(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "robot"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	certificate, err := x509.ParseCertificate(raw)
	must(t, err)
	id, _ := s.robot(t, publicKey(public, "PS256"))
	o := &azidentity.ClientCertificateCredentialOptions{ClientOptions: s.options(), DisableInstanceDiscovery: true}
	c, err := azidentity.NewClientCertificateCredential(tenant, id, []*x509.Certificate{certificate}, private, o)
	got, err := token(t, c, err)
	must(t, err)
	s.good(t, got, id+"@clients", "read:orders")

	other, _ := key(t)
	raw, err = x509.CreateCertificate(rand.Reader, template, template, other.Public(), other)
	must(t, err)
	certificate, err = x509.ParseCertificate(raw)
	must(t, err)
	c, err = azidentity.NewClientCertificateCredential(tenant, id, []*x509.Certificate{certificate}, other, o)
	_, err = token(t, c, err)
	wantError(t, "a certificate of another key", err, "invalid_client", "700027")
}

// sign makes a JWT.
func sign(t *testing.T, by crypto.Signer, kid string, claims any) string {
	t.Helper()
	o := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		o = o.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: by}, o)
	must(t, err)
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	must(t, err)
	return text
}

// cluster is an issuer of tokens for workloads elsewhere.
func cluster(t *testing.T) (issuer string, by *rsa.PrivateKey) {
	t.Helper()
	by, _ = key(t)
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v any = map[string]string{"issuer": server.URL, "jwks_uri": server.URL + "/keys"}
		if r.URL.Path == "/keys" {
			v = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: by.Public(), KeyID: "c1", Algorithm: "RS256", Use: "sig"}}}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // who went away does not see it
	}))
	t.Cleanup(server.Close)
	return server.URL, by
}

// A workload elsewhere has a file with a token of an issuer there, which stands for a managed identity by a rule.
func TestWorkloadIdentity(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	issuer, by := cluster(t)
	const subject = "system:serviceaccount:shop:worker"
	object, client := s.managed(t, "Elsewhere", map[string]any{
		"federated": []map[string]any{{"name": "cluster", "issuer": issuer, "subject": subject}},
	})
	s.grant(t, object, "approve:orders", "read:orders")
	file := filepath.Join(t.TempDir(), "token")
	ask := func(id string, signer *rsa.PrivateKey, change func(*jwt.Claims)) (string, error) {
		now := time.Now()
		claims := jwt.Claims{
			Issuer: issuer, Subject: subject, Audience: jwt.Audience{"api://AzureADTokenExchange"},
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Hour)),
		}
		if change != nil {
			change(&claims)
		}
		must(t, os.WriteFile(file, []byte(sign(t, signer, "c1", claims)), 0o600))
		c, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: s.options(), DisableInstanceDiscovery: true, ClientID: id, TenantID: tenant, TokenFilePath: file,
		})
		return token(t, c, err)
	}
	for range 2 { // the same token again, as long as it is good
		got, err := ask(client, by, nil)
		must(t, err)
		s.good(t, got, object, "approve:orders", "read:orders")
	}
	_, stranger := s.managed(t, "Stranger", nil)
	other, _ := key(t)
	rogue, rogueKey := cluster(t)
	for name, one := range map[string]struct {
		id     string
		by     *rsa.PrivateKey
		change func(*jwt.Claims)
	}{
		"an identity without the rule":  {stranger, by, nil},
		"an identity that is not there": {"nobody", by, nil},
		"another subject":               {client, by, func(c *jwt.Claims) { c.Subject = "system:serviceaccount:shop:other" }},
		"another audience":              {client, by, func(c *jwt.Claims) { c.Audience = jwt.Audience{"https://other.example"} }},
		"another issuer":                {client, rogueKey, func(c *jwt.Claims) { c.Issuer = rogue }},
		"another issuer's key":          {client, rogueKey, nil},
		"another key":                   {client, other, nil},
		"expired":                       {client, by, func(c *jwt.Claims) { c.Expiry = jwt.NewNumericDate(time.Now().Add(-time.Hour)) }},
		"not good yet":                  {client, by, func(c *jwt.Claims) { c.NotBefore = jwt.NewNumericDate(time.Now().Add(time.Hour)) }},
	} {
		_, err := ask(one.id, one.by, one.change)
		wantError(t, name, err, "invalid_client")
	}
	s.administer(t, "PATCH", "managed-identities/"+object, map[string]any{"federated": []any{}})
	_, err := ask(client, by, nil)
	wantError(t, "after the rule was removed", err, "invalid_client")
}

// The clients look for the tenant under the name by which they know the host.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	res, err := s.client.Get(s.issuer + "default/v2.0/.well-known/openid-configuration?")
	must(t, err)
	var document map[string]any
	must(t, errors.Join(json.NewDecoder(res.Body).Decode(&document), res.Body.Close()))
	if document["issuer"] != s.issuer {
		t.Errorf("issuer %v, want %s", document["issuer"], s.issuer)
	}
	res, err = s.client.Get(document["jwks_uri"].(string))
	must(t, err)
	var keys jose.JSONWebKeySet
	must(t, errors.Join(json.NewDecoder(res.Body).Decode(&keys), res.Body.Close()))
	if len(keys.Keys) == 0 {
		t.Error("there are no keys")
	}
}
