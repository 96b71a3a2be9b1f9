package checks_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/checks"
	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
	"github.com/perdure/perdure/internal/doctor"
)

var now = directorytest.Epoch

// sound is a state in which nothing is weak.
func sound() *checks.State {
	return &checks.State{
		Now: now, Issuer: "https://id.example.org/", Mail: true, LastTokens: map[string]time.Time{},
		Administrators: []*directory.User{{ID: "perdure|1", Email: "ada@example.org", SecondFactors: []string{"totp"}}},
		Applications: []*directory.Application{
			{
				ClientID: "web", Name: "Web", Type: directory.TypeRegularWeb, AuthMethod: directory.MethodPost, Secrets: created(1),
				GrantTypes: []string{directory.GrantCode}, Callbacks: []string{"https://web.example.org/callback"},
			},
			{ClientID: "cron", Name: "Cron", Type: directory.TypeNonInteractive, AuthMethod: directory.MethodPost, Secrets: created(1), GrantTypes: []string{directory.GrantClient}},
		},
		APIs: []*directory.API{{
			Identifier: "urn:app", Permissions: []directory.Permission{{Value: "read:files"}}, EnforcePolicies: true, TokenLifetime: 86_400,
		}},
		Connections: []*directory.Connection{
			{Name: "db", Strategy: directory.StrategyDatabase, Options: directory.ConnectionOptions{DisableSignup: true}},
			{Name: "corp", Strategy: directory.StrategyOIDC, Options: directory.ConnectionOptions{Issuer: "https://corp.example.org", Link: directory.LinkNever}},
		},
		Keys:   []*directory.SigningKey{{ID: "key", State: directory.KeyCurrent, Activated: now.Add(-directory.KeyPeriod)}},
		Grants: []*directory.ClientGrant{{ClientID: "cron", Audience: "https://id.example.org/api/v2/", Scope: []string{"read:users"}}},
	}
}

func TestChecks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(s *checks.State)
		want   string // severity, check and subject
	}{
		"sound":                  {func(*checks.State) {}, ""},
		"issuer without TLS":     {func(s *checks.State) { s.Issuer = "http://id.example.org/" }, "critical issuer-http http://id.example.org/"},
		"issuer on loopback":     {func(s *checks.State) { s.Issuer = "http://localhost:8080/" }, ""},
		"nobody administers":     {func(s *checks.State) { s.Administrators = nil }, "warning no-administrator "},
		"no second factor":       {func(s *checks.State) { s.Administrators[0].SecondFactors = nil }, "warning administrator-factor ada@example.org"},
		"demo":                   {func(s *checks.State) { s.Demo = true }, "warning demo-mode "},
		"no mail":                {func(s *checks.State) { s.Mail = false }, "note no-mail "},
		"password grant":         {func(s *checks.State) { s.Applications[0].GrantTypes = []string{directory.GrantPassword} }, "warning password-grant Web"},
		"public":                 {func(s *checks.State) { a := s.Applications[0]; a.AuthMethod, a.Secrets = directory.MethodNone, nil }, "note public-application Web"},
		"wildcard":               {func(s *checks.State) { s.Applications[0].Callbacks = []string{"https://*.example.org/"} }, "critical redirect-wildcard Web https://*.example.org/"},
		"callback without TLS":   {func(s *checks.State) { s.Applications[0].Callbacks = []string{"http://a.example.org/"} }, "warning redirect-http Web http://a.example.org/"},
		"logout without TLS":     {func(s *checks.State) { s.Applications[0].AllowedLogoutURLs = []string{"http://a.example.org/"} }, "warning redirect-http Web http://a.example.org/"},
		"callback of developers": {func(s *checks.State) { s.Applications[0].Callbacks = []string{"http://localhost:3000/"} }, "warning redirect-loopback Web http://localhost:3000/"},
		"the same of a native application": {func(s *checks.State) {
			a := s.Applications[0]
			a.Type, a.Callbacks = directory.TypeNative, []string{"http://127.0.0.1/"}
		}, ""},
		"the same where developers are": {func(s *checks.State) {
			s.Issuer, s.Applications[0].Callbacks = "http://localhost:8080/", []string{"http://localhost:3000/"}
		}, ""},
		"old secret": {func(s *checks.State) { s.Applications[0].Secrets = created(400) }, "warning secret-old Web"},
		"old secret of the system": {func(s *checks.State) {
			s.Applications = s.Applications[:1]
			s.Applications[0].System, s.Applications[0].Secrets[0].Created = true, now.Add(-400*24*time.Hour)
		}, ""},
		"expired secret": {func(s *checks.State) {
			a := s.Applications[0]
			a.Secrets = append(a.Secrets, directory.AppSecret{Created: now.Add(-400 * 24 * time.Hour), Expires: now})
		}, ""},
		"secret with a key": {func(s *checks.State) { s.Applications[0].AuthMethod = directory.MethodPrivateKey }, "note secret-unused Web"},
		"no token for long": {func(s *checks.State) { s.Applications[1].Secrets = created(100) }, "warning secret-unused Cron"},
		"a token not long ago": {func(s *checks.State) {
			s.Applications[1].Secrets = created(100)
			s.LastTokens["cron"] = now.Add(-80 * 24 * time.Hour)
		}, ""},
		"several secrets":       {func(s *checks.State) { a := s.Applications[0]; a.Secrets = slices.Concat(a.Secrets, a.Secrets) }, "note secrets-many Web"},
		"administers":           {func(s *checks.State) { s.Grants[0].Scope = []string{"update:users"} }, "note application-administers Cron"},
		"no RBAC":               {func(s *checks.State) { s.APIs[0].EnforcePolicies = false }, "warning api-without-rbac urn:app"},
		"no permissions":        {func(s *checks.State) { s.APIs[0].EnforcePolicies, s.APIs[0].Permissions = false, nil }, ""},
		"long tokens":           {func(s *checks.State) { s.APIs[0].TokenLifetime++ }, "warning token-lifetime urn:app"},
		"long tokens for pages": {func(s *checks.State) { s.APIs[0].TokenLifetimeForWeb = 86_401 }, "warning token-lifetime urn:app"},
		"key due":               {func(s *checks.State) { s.Keys[0].Activated = now.Add(-directory.KeyPeriod - 25*time.Hour) }, "warning key-due key"},
		"key revoked":           {func(s *checks.State) { s.Keys[0].State = directory.KeyRevoked }, "note key-revoked key"},
		"links":                 {func(s *checks.State) { s.Connections[1].Options.Link = directory.LinkVerified }, "warning connection-links corp"},
		"links, but is off": {func(s *checks.State) {
			s.Connections[1].Options.Link, s.Connections[1].Disabled = directory.LinkVerified, true
		}, ""},
		"upstream without TLS": {func(s *checks.State) { s.Connections[1].Options.Issuer = "http://corp.example.org" }, "critical connection-http corp"},
		"anybody signs up":     {func(s *checks.State) { s.Connections[0].Options.DisableSignup = false }, "warning signup-unverified db"},
		"anybody with an address signs up": {func(s *checks.State) {
			s.Connections[0].Options = directory.ConnectionOptions{RequireVerifiedEmail: true}
		}, "note signup-open db"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sound()
			test.change(s)
			var got []string
			for _, f := range s.Findings() {
				if f.Reason == "" || f.Mend == "" {
					t.Errorf("%s has no reason, or no mend", f.Check)
				}
				got = append(got, string(f.Severity)+" "+f.Check+" "+f.Subject)
			}
			if strings.Join(got, "; ") != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// created is a secret that was made so many days ago.
func created(days int) []directory.AppSecret {
	return []directory.AppSecret{{Digest: []byte{1}, Created: now.Add(-time.Duration(days) * 24 * time.Hour)}}
}

// Who administers is found by permissions, not by the name of a role.
func TestAdministratorsAreFound(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	w.NewAPI(t, "urn:app", "update:users")
	role := func(name, api string, permissions ...string) string {
		return w.NewRole(t, name, api, permissions...).ID
	}
	management := w.ManagementAPI()
	roles := map[string]string{
		"boss@example.org":    role("boss", management, "update:users"),
		"auditor@example.org": role("auditor", management, "read:users", "read:logs"),
		"other@example.org":   role("other", "urn:app", "update:users"),
		"blocked@example.org": role("blocked", management, "create:roles"),
	}
	direct := w.NewUser(t, "direct@example.org")
	w.Do(t, func(ctx context.Context) error {
		return w.GrantPermissions(ctx, directory.Command, direct.ID, directory.KindUser, directory.APIPermission{API: management, Name: "delete:clients"})
	})
	for email, id := range roles {
		u := w.NewUser(t, email)
		w.Do(t, func(ctx context.Context) error {
			if err := w.AssignRoles(ctx, directory.Command, u.ID, directory.KindUser, id); err != nil {
				return err
			}
			_, err := w.UpdateUser(ctx, directory.Command, u.ID, func(u *directory.User) error {
				u.Blocked = email == "blocked@example.org"
				return nil
			})
			return err
		})
	}
	var got []string
	for _, u := range read(t, w).Administrators {
		got = append(got, u.Email)
	}
	slices.Sort(got)
	if want := []string{"boss@example.org", "direct@example.org"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func read(t *testing.T, w *directorytest.World) (s *checks.State) {
	t.Helper()
	w.Do(t, func(ctx context.Context) (err error) {
		s, err = checks.Read(ctx, w.Env, false)
		return err
	})
	return s
}

func TestEnvironmentHasNoSecret(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	app, secret := w.NewApplication(t, &directory.Application{Name: "Web", GrantTypes: []string{directory.GrantClient}})
	w.Do(t, func(ctx context.Context) error {
		if err := w.Audit(ctx, directory.Actor{Subject: app.ClientID + "@clients"}.Entry(directory.AuditToken, app.ClientID, "")); err != nil {
			return err
		}
		c, err := w.CreateConnection(ctx, directory.Command, &directory.Connection{
			Name: "corp", Strategy: directory.StrategyOIDC, Options: directory.ConnectionOptions{Issuer: "https://corp.example.org", ClientID: "perdure"},
		})
		if err != nil {
			return err
		}
		if err := w.SetConnectionSecret(ctx, directory.Command, c.ID, "open sesame"); err != nil {
			return err
		}
		_, err = w.SigningKey(ctx, directory.RS256)
		return err
	})
	s := read(t, w)
	if s.LastTokens[app.ClientID].IsZero() {
		t.Error("the last token is not known")
	}
	e := s.Environment()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(secret))
	for _, hidden := range []string{secret, "sesame"} {
		if strings.Contains(string(text), hidden) {
			t.Errorf("it has %q", hidden)
		}
	}
	if e.Secrets[doctor.Mark(digest[:])] != "Web" || len(e.Upstreams) != 1 || len(e.SigningKeys) == 0 {
		t.Errorf("%s", text)
	}
	if got := e.Compare(e); len(got) < 4 {
		t.Errorf("compared with itself: %v", got)
	}
}
