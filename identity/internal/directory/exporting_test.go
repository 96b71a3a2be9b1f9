package directory_test

import (
	"context"
	"strings"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
)

const exportedToo = `
roles:
  - name: administrator
    permissions: {"urn:perdure:management": ["read:users", "create:users"]}
applications:
  - name: Signed
    token_endpoint_auth_method: private_key_jwt
    public_keys: [{kty: OKP, crv: Ed25519, kid: one, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}]
client_grants:
  - {application: Cron, audience: "urn:perdure:management", scope: ["read:users"]}
`

func export(t *testing.T, w *directorytest.World, o directory.ExportOptions) string {
	t.Helper()
	var text []byte
	w.Do(t, func(ctx context.Context) error {
		doc, err := w.Export(ctx, o)
		if err == nil {
			text, err = doc.YAML()
		}
		return err
	})
	return string(text)
}

func TestExportAppliedElsewhereIsTheSame(t *testing.T) {
	t.Parallel()
	all := directory.ExportOptions{Users: true}
	first := directorytest.New(t)
	applied(t, first, document)
	applied(t, first, exportedToo)
	// What a document does not set is turned off as well as what it sets is turned on.
	applied(t, first, `connections: [{name: Username-Password-Authentication, is_domain_connection: false, options: {disable_signup: true}}]`)
	text := export(t, first, all)
	for _, want := range []string{"urn:perdure:management", "kid: one", "is_domain_connection: false", "email: Ann@example.org", "seats: 12"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(text, directorytest.Issuer) || strings.Contains(text, "null") || strings.Contains(text, "secret: ") {
		t.Errorf("it names the issuer, nothing, or a secret:\n%s", text)
	}
	if got := applied(t, first, text); got != "" {
		t.Errorf("applied where it comes from it changes:\n%s", got)
	}

	second := directorytest.New(t)
	second.Issuer = "https://elsewhere.example.org/"
	second.Do(t, second.EnsureDefaults)
	if got := applied(t, second, text); !strings.Contains(got, `~ connections "Username-Password-Authentication"`) {
		t.Errorf("applied elsewhere:\n%s", got)
	}
	// The first management API of the second has the first's issuer, and no row of the system is exported.
	if again := export(t, second, all); again != text {
		t.Errorf("exported again:\n%s\nwant\n%s", again, text)
	}
	if got := applied(t, second, text); got != "" {
		t.Errorf("applied again:\n%s", got)
	}
}

func TestExportLeavesOut(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	applied(t, w, document)
	text := export(t, w, directory.ExportOptions{Without: []string{"cron"}})
	if strings.Contains(text, "Cron") || strings.Contains(text, "users:") || !strings.Contains(text, "name: Web") {
		t.Errorf("%s", text)
	}
	w.Do(t, func(ctx context.Context) error {
		for _, u := range []directory.User{{Username: "demo", Demo: true}, {Email: "real@example.org"}} {
			u.Connection = directory.DefaultConnection
			if _, err := w.CreateUser(ctx, directory.Command, &u); err != nil {
				return err
			}
		}
		return nil
	})
	text = export(t, w, directory.ExportOptions{Users: true})
	if strings.Contains(text, "demo") || !strings.Contains(text, "real@example.org") {
		t.Errorf("%s", text)
	}
}

func TestApplyGivesSecretsOfNewApplications(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	plan, err := w.Plan(t.Context(), parse(t, document))
	if err != nil || len(plan.Secrets) != 0 {
		t.Fatalf("the plan has %d secrets, %v", len(plan.Secrets), err)
	}
	w.Do(t, func(ctx context.Context) error {
		diff, err := w.Apply(ctx, directory.Command, parse(t, document))
		if err != nil {
			return err
		}
		if len(diff.Secrets) != 2 || strings.Contains(diff.String(), diff.Secrets[0].Secret) {
			t.Fatalf("secrets %d, diff %s", len(diff.Secrets), diff.String())
		}
		for _, s := range diff.Secrets {
			app, err := w.Application(ctx, s.ClientID)
			if err != nil {
				return err
			}
			if !w.CheckSecret(app, s.Secret) {
				t.Errorf("the secret of %q is not good", s.Name)
			}
		}
		diff, err = w.Apply(ctx, directory.Command, parse(t, document))
		if len(diff.Secrets) != 0 {
			t.Error("applied again, there are secrets")
		}
		return err
	})
}
