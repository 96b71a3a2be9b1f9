package directory_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
)

const document = `
apis:
  - identifier: https://api.example.org/
    name: Files
    enforce_policies: true
    scopes:
      - {value: "read:files", description: Read files}
      - {value: "write:files"}
connections:
  - name: google
    strategy: oidc
    applications: [Web]
    options: {issuer: "https://accounts.example.com", client_id: abc, scopes: [openid, email]}
applications:
  - name: Web
    callbacks: [https://web.example.org/callback]
    connections: [google, Username-Password-Authentication]
    client_metadata: {team: {size: 3}}
  - client_id: cron
    name: Cron
    app_type: non_interactive
    federated: [{name: ci, issuer: "https://ci.example.org", subject: "repo:x"}]
client_grants:
  - {application: Cron, audience: https://api.example.org/, scope: [write:files, read:files]}
roles:
  - name: reader
    description: May read
    permissions: {https://api.example.org/: [read:files]}
managed_identities:
  - name: worker
    resources: [https://api.example.org/]
    federated: [{name: k8s, issuer: "https://k8s.example.org", subject: "system:serviceaccount:a:b"}]
    roles: [reader]
users:
  - email: Ann@example.org
    email_verified: true
    name: Ann
    roles: [reader]
    permissions: {https://api.example.org/: [write:files]}
    app_metadata: {plan: gold, seats: 12}
`

func parse(t *testing.T, text string) *directory.Document {
	t.Helper()
	doc, err := directory.ParseDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// applied applies a document after a plan of it, which must say the same, and returns the lines.
func applied(t *testing.T, w *directorytest.World, text string) string {
	t.Helper()
	plan, err := w.Plan(t.Context(), parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	var diff directory.Diff
	w.Do(t, func(ctx context.Context) (err error) {
		diff, err = w.Apply(ctx, directory.Command, parse(t, text))
		return err
	})
	// New ids are others in the plan.
	if len(plan.Changes) != len(diff.Changes) {
		t.Errorf("plan:\n%s\napplied:\n%s", plan.String(), diff.String())
	}
	return diff.String()
}

func TestApplyTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	got := applied(t, w, document)
	want := `+ apis "https://api.example.org/"
+ connections "google"
+ applications "Web"
+ applications "Cron"
+ client_grants "Cron -> https://api.example.org/"
+ roles "reader"
+ managed_identities "worker"
+ users "Ann@example.org"
`
	if got != want {
		t.Errorf("first:\n%s", got)
	}
	if got := applied(t, w, document); got != "" {
		t.Errorf("second:\n%s", got)
	}
	w.Do(t, func(ctx context.Context) error {
		u, err := w.UserByEmail(ctx, directory.DefaultConnection, "ann@example.org")
		if err != nil {
			return err
		}
		p, roles, err := w.RightsAt(ctx, u.Rights, api)
		if err != nil || strings.Join(p, " ") != "read:files write:files" || len(roles) != 1 {
			t.Errorf("rights %v, %v, %v", p, roles, err)
		}
		app, err := w.Application(ctx, "cron")
		if err != nil {
			return err
		}
		if cs, err := w.ConnectionsFor(ctx, app); err != nil || len(cs) != 1 {
			t.Errorf("connections of cron: %d, %v; want the default one", len(cs), err)
		}
		return nil
	})
}

func TestApplyChangesWhatIsSaidOnly(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	applied(t, w, document)
	got := applied(t, w, `
roles: [{name: reader, permissions: {https://api.example.org/: [read:files, write:files]}}]
users: [{email: ann@EXAMPLE.org, blocked: true, roles: []}]
connections: [{name: google, options: {client_id: xyz}}]
`)
	want := `~ connections "google"
    options.client_id: "abc" -> "xyz"
~ roles "reader"
    permissions: ["https://api.example.org/ read:files"] -> ["https://api.example.org/ read:files","https://api.example.org/ write:files"]
~ users "ann@EXAMPLE.org"
    blocked: false -> true
    roles: ["reader"] -> []
`
	if got != want {
		t.Errorf("got:\n%s", got)
	}
	w.Do(t, func(ctx context.Context) error {
		u, err := w.UserByEmail(ctx, directory.DefaultConnection, "ann@example.org")
		if err == nil && (u.Name != "Ann" || !u.EmailVerified || u.AppMetadata["plan"] != "gold") {
			t.Errorf("what was not said has changed: %+v", u)
		}
		return err
	})
}

func TestPruneDeletesItsKindsOnly(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	applied(t, w, document)
	got := applied(t, w, `
prune: [roles, users, apis, connections, applications, client_grants, managed_identities]
applications: [{name: Web, connections: []}]
`)
	for _, line := range []string{`- roles "reader"`, `- users "Ann@example.org"`, `- apis "https://api.example.org/"`, `- connections "google"`,
		`- applications "Cron"`, `- client_grants "Cron -> https://api.example.org/"`, `- managed_identities "worker"`} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("%s is missing in\n%s", line, got)
		}
	}
	w.Do(t, func(ctx context.Context) error {
		if _, err := w.ConnectionByName(ctx, directory.DefaultConnection); err != nil {
			t.Error("the default connection was pruned")
		}
		_, err := w.APIByIdentifier(ctx, w.ManagementAPI())
		return err
	})
	applied(t, w, document)
	if got := applied(t, w, document); got != "" {
		t.Errorf("after pruning and applying, again:\n%s", got)
	}
}

func TestPlanChangesNothing(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	diff, err := w.Plan(t.Context(), parse(t, document))
	if err != nil || diff.Empty() {
		t.Fatalf("plan: %v, %v", diff, err)
	}
	if _, err := json.Marshal(diff); err != nil {
		t.Error(err)
	}
	w.Do(t, func(ctx context.Context) error {
		if _, err := w.RoleByName(ctx, "reader"); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("after the plan: %v", err)
		}
		return nil
	})
}

func TestDocumentFaults(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	for text, want := range map[string]string{
		"roles:\n  - name: a\n    nmae: b\n": `document: line 3: field "nmae" is not known here`,
		"roles: 3":                           "document: line 1: !!int `3` does not fit here",
		"rolez: []\nuserz: []\n":             `line 1: field "rolez" is not known here; line 2: field "userz" is`,
		"roles: [":                           "line",
		"roles: []\n---\nroles: []\n":        "second document",
		"prune: [sessions]":                  "none of",
		"roles: [{name: a}, {name: a}]":      "roles[1]: name: \"a\" is there twice",
		"roles: [{name: a, permissions: {https://x/: [y]}}]":         `there is no API "https://x/"`,
		"users: [{email: a@example.org, roles: [none]}]":             `there is no role "none"`,
		"users: [{email: a@example.org, password: x}]":               `field "password" is not known here`,
		"client_grants: [{application: none, audience: x}]":          `there is no application "none"`,
		"applications: [{name: a, callbacks: ['javascript:x()']}]":   "callbacks[0]",
		"users: [{email: a@example.org, app_metadata: {a: {1: 2}}}]": "app_metadata",
	} {
		doc, err := directory.ParseDocument([]byte(text))
		if err == nil {
			_, err = w.Plan(t.Context(), doc)
		}
		if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, directory.ErrInvalid) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func FuzzParseDocument(f *testing.F) {
	f.Add([]byte(document))
	f.Add([]byte(`{"roles":[{"name":"a"}]}`))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := directory.ParseDocument(data)
		if err != nil && !errors.Is(err, directory.ErrInvalid) {
			t.Fatal(err)
		}
	})
}
