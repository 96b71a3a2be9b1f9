package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/perdure/perdure/internal/control"
)

// remoteTimeout bounds a request to a vault over the network, with what it takes to sign in.
const remoteTimeout = time.Minute

// remoteRetry is how long the first of two further attempts waits.
const remoteRetry = 300 * time.Millisecond

// remoteVault is a vault that is reached over the network: Perdure's or Azure's, by Microsoft's client.
type remoteVault struct {
	client *azsecrets.Client
	url    string
}

// newRemoteVault returns the vault at a URL. Who asks is found in the environment, as by
// DefaultAzureCredential: a managed identity, an application with a secret, or whoever has signed in to Azure's tools.
func newRemoteVault(at, caFile string) (*remoteVault, error) {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, &usageError{fmt.Errorf("%q: want the URL of a vault, such as https://default.vault.localhost:8200 or https://NAME.vault.azure.net", at)}
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if caFile != "" {
		text, err := os.ReadFile(caFile)
		if err != nil {
			return nil, err
		}
		pool = x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: there is no certificate in it, in PEM", caFile)
		}
	}
	options := policy.ClientOptions{Retry: policy.RetryOptions{MaxRetries: 2, RetryDelay: remoteRetry}, Transport: &http.Client{Timeout: remoteTimeout, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialLocalhost, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	}}}
	credential, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions: options, DisableInstanceDiscovery: true, // the authority is named in the environment; Microsoft does not know it
	})
	if err != nil {
		return nil, err
	}
	client, err := azsecrets.NewClient(at, pinned{credential, u.Host}, &azsecrets.ClientOptions{
		ClientOptions: options, DisableChallengeResourceVerification: true, // pinned does it, for the default vault too
	})
	return &remoteVault{client, at}, err
}

// dialLocalhost connects to this machine for "localhost" and all names below it (RFC 6761, section 6.3), which not every resolver knows.
func dialLocalhost(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err == nil && strings.HasSuffix(strings.TrimSuffix(host, "."), ".localhost") {
		address = net.JoinHostPort("localhost", port)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// pinned gets tokens for the vault that is asked, and for none that it names: else it could have one that is good elsewhere.
type pinned struct {
	azcore.TokenCredential
	host string
}

// GetToken implements azcore.TokenCredential.
func (c pinned) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	for _, scope := range o.Scopes {
		u, err := url.Parse(scope)
		above := err == nil && strings.Contains(u.Hostname(), ".") && strings.HasSuffix(c.host, "."+u.Host)
		if err != nil || u.Scheme != "https" || u.Host != c.host && !above {
			return azcore.AccessToken{}, fmt.Errorf("the vault %s wants a token for %q, which is not its own", c.host, scope)
		}
	}
	return c.TokenCredential.GetToken(ctx, o)
}

// refusal is what an answer of the vault means to the command.
func (r *remoteVault) refusal(err error) error {
	var answered *azcore.ResponseError
	if !errors.As(err, &answered) {
		return fmt.Errorf("%s: %w", r.url, err)
	}
	text := cmp.Or(answered.ErrorCode, http.StatusText(answered.StatusCode))
	switch answered.StatusCode {
	case http.StatusForbidden:
		text = "it may not be read (Forbidden)"
	case http.StatusNotFound:
		text = "there is no such secret (" + text + ")"
	}
	return &control.RefusedError{Status: answered.StatusCode, Title: text, Detail: r.url + ": " + text}
}

// get implements secretSource.
func (r *remoteVault) get(ctx context.Context, ref string) (*secret, error) {
	if strings.Contains(ref, "/") {
		return nil, fmt.Errorf("%q is in another vault, which has a URL of its own", ref)
	}
	got, err := r.client.GetSecret(ctx, ref, "", nil)
	if err != nil {
		return nil, r.refusal(err)
	}
	s := &secret{item: remoteItem(got.ID, got.Attributes, got.ContentType, got.Tags, got.Managed)}
	if got.Value != nil {
		s.Value = *got.Value
	}
	return s, nil
}

// names implements secretSource.
func (r *remoteVault) names(ctx context.Context) ([]item, error) {
	var all []item
	for pages := r.client.NewListSecretPropertiesPager(nil); pages.More(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, r.refusal(err)
		}
		for _, s := range page.Value {
			all = append(all, remoteItem(s.ID, s.Attributes, s.ContentType, s.Tags, s.Managed))
		}
	}
	return all, nil
}

func remoteItem(id *azsecrets.ID, a *azsecrets.SecretAttributes, contentType *string, tags map[string]*string, managed *bool) item {
	i := item{}
	if id != nil {
		i.ID = string(*id)
	}
	if contentType != nil {
		i.ContentType = *contentType
	}
	if len(tags) > 0 {
		i.Tags = map[string]string{}
	}
	for name, value := range tags {
		if value != nil {
			i.Tags[name] = *value
		}
	}
	i.Managed = managed != nil && *managed
	if a == nil {
		return i
	}
	i.Attributes.Enabled = a.Enabled == nil || *a.Enabled
	if a.Expires != nil {
		i.Attributes.Expires = a.Expires.Unix()
	}
	if a.NotBefore != nil {
		i.Attributes.NotBefore = a.NotBefore.Unix()
	}
	return i
}
