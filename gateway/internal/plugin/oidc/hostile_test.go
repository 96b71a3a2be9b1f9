package oidc_test

import (
	"net/http"
	"testing"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/keyauth"
	"github.com/perdure/perdure/gateway/internal/plugin/oidc"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
)

// The fields that tell the upstream of claims are never the client's own: not beside an anonymous consumer, not in a preflight
// request, not if another plugin knows who is asking, not with "_" for "-".
func TestClaimFieldsAreNotTheClients(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	g := plugintest.New(t, plugin.NewRegistry(oidc.Kind(), keyauth.Kind()), `
routes:
- name: it
  paths: [/]
  plugins:
  - {name: key-auth, config: {anonymous: nobody}}
  - name: openid-connect
    config:
      issuer: `+i.URL+`
      audience_required: [api]
      anonymous: nobody
      run_on_preflight: false
      upstream_headers_claims: [email, role]
      upstream_headers_names: [X-User-Mail, X-Role]
consumers:
- username: nobody
- username: ann
  keyauth_credentials: [{key: k}]
`)
	for request, fields := range map[string][]string{
		"GET /":            nil,
		"OPTIONS /":        nil,
		"GET /?apikey=k":   nil,
		"GET /?apikey=bad": {"Authorization: Bearer x.y.z"},
	} {
		r := g.Do(request, append([]string{"X-Role: admin", "X-ROLE: admin", "x_role: admin", "X-User_Mail: root@example.com"}, fields...)...)
		if r.Status != http.StatusOK {
			t.Errorf("%s: answered %d %v", request, r.Status, r.Notes)
			continue
		}
		for _, name := range []string{"X-Role", "X_role", "X-User-Mail", "X-User_mail"} {
			if got := r.Upstream.Header.Values(name); got != nil {
				t.Errorf("%s: the upstream was sent %s: %s", request, name, got)
			}
		}
	}
}
