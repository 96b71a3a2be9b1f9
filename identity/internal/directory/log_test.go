package directory_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
)

func TestAuditLogTellsWhoDidWhat(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	admin := directory.Actor{Subject: "perdure|ADMIN", Client: "cli", IP: "192.0.2.1", Agent: "curl\r\nforged: line"}
	start := w.Now()
	w.Clock.Advance(time.Minute)
	var u *directory.User
	w.Do(t, func(ctx context.Context) (err error) {
		u, err = w.CreateUser(ctx, admin, &directory.User{Connection: directory.DefaultConnection, Email: "ann@example.org"})
		return err
	})
	w.Clock.Advance(time.Minute)
	w.Do(t, func(ctx context.Context) error {
		_, err := w.UpdateUser(ctx, admin, u.ID, func(u *directory.User) error { u.Name = "Ann"; return nil })
		return err
	})
	w.Clock.Advance(time.Minute)
	w.Do(t, func(ctx context.Context) error { return w.DeleteUser(ctx, directory.Command, u.ID) })

	for name, c := range map[string]struct {
		filter directory.AuditFilter
		want   string
	}{
		"target, the newest first": {directory.AuditFilter{Target: u.ID}, "deleted updated created"},
		"the oldest first":         {directory.AuditFilter{Target: u.ID, Oldest: true}, "created updated deleted"},
		"actor":                    {directory.AuditFilter{Actor: admin.Subject}, "updated created"},
		"type":                     {directory.AuditFilter{Types: []string{directory.AuditDeleted}}, "deleted"},
		"time":                     {directory.AuditFilter{From: start.Add(2 * time.Minute), To: start.Add(3 * time.Minute)}, "updated"},
		"page":                     {directory.AuditFilter{Target: u.ID, Paging: directory.Paging{Page: 1, PerPage: 2}}, "created"},
		"actor and target":         {directory.AuditFilter{Target: u.ID, Actor: "command"}, "deleted"},
		"nobody":                   {directory.AuditFilter{Actor: strings.Repeat("x", 1000)}, ""},
	} {
		w.Do(t, func(ctx context.Context) error {
			l, err := w.AuditLog(ctx, c.filter)
			types := []string{}
			for _, e := range l.Items {
				types = append(types, e.Type)
				if strings.ContainsAny(e.Agent+e.Detail, "\r\n") || e.ID == "" || e.Time.IsZero() {
					t.Errorf("%s: entry %+v", name, e)
				}
			}
			if got := strings.Join(types, " "); got != c.want {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
			return err
		})
	}
	// What did not commit is not in the log.
	err := w.Unit(t.Context(), func(ctx context.Context) error {
		if _, err := w.CreateUser(ctx, admin, &directory.User{Connection: directory.DefaultConnection, Email: "bob@example.org"}); err != nil {
			return err
		}
		return context.Canceled
	})
	if err == nil {
		t.Fatal("the unit did not fail")
	}
	w.Do(t, func(ctx context.Context) error {
		l, err := w.AuditLog(ctx, directory.AuditFilter{Actor: admin.Subject})
		if err == nil && l.Total != 2 {
			t.Errorf("%d entries, want 2", l.Total)
		}
		return err
	})
}

func TestAuditEntriesAreBoundedSortedAndForgotten(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	w.Do(t, func(ctx context.Context) error {
		for i := range 20 {
			long := fmt.Sprintf("%02d %s", i, strings.Repeat("\u00e9\x00", 5000))
			err := w.Audit(ctx, &directory.AuditEntry{Type: "x", Actor: "a", Target: long, Client: long, IP: long, Agent: long, Detail: long})
			if err != nil {
				return err
			}
		}
		l, err := w.AuditLog(ctx, directory.AuditFilter{Actor: "a", Oldest: true})
		for i, e := range l.Items {
			if !strings.HasPrefix(e.Detail, fmt.Sprintf("%02d ", i)) || len(e.Detail) > 1000 || len(e.Target) > directory.MaxID {
				t.Errorf("entry %d is %.10q of %d bytes", i, e.Detail, len(e.Detail))
			}
		}
		return err
	})
	w.Clock.Advance(directory.AuditRetention)
	w.Do(t, func(ctx context.Context) error {
		l, err := w.AuditLog(ctx, directory.AuditFilter{Actor: "a"})
		if err == nil && l.Total != 0 {
			t.Errorf("%d entries are older than the log keeps", l.Total)
		}
		return err
	})
}

func TestSecretsAreShownOnceAndRotated(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	app, first := w.NewApplication(t, &directory.Application{Name: "web"})
	good := func(secret string) bool {
		var ok bool
		w.Do(t, func(ctx context.Context) error {
			a, err := w.Application(ctx, app.ClientID)
			if err != nil {
				return err
			}
			for _, s := range a.Secrets {
				if strings.Contains(string(s.Digest), first) || len(s.Digest) != 32 {
					t.Error("the digest is none")
				}
			}
			ok = w.CheckSecret(a, secret)
			return nil
		})
		return ok
	}
	if len(first) < 43 || !good(first) || good("") || good(first+"x") || good(first[1:]) {
		t.Fatalf("secret of %d characters is not told from others", len(first))
	}
	var second, third string
	rotate := func(overlap time.Duration) (secret string) {
		w.Do(t, func(ctx context.Context) (err error) {
			_, secret, err = w.RotateSecret(ctx, directory.Command, app.ClientID, overlap)
			return err
		})
		return secret
	}
	second = rotate(time.Hour)
	if !good(first) || !good(second) {
		t.Error("during the overlap one is not good")
	}
	w.Clock.Advance(time.Hour)
	if good(first) || !good(second) {
		t.Error("after the overlap the first is good, or the second is not")
	}
	third = rotate(0)
	if good(second) || !good(third) {
		t.Error("without an overlap the second is good, or the third is not")
	}
	for range 10 {
		third = rotate(time.Hour)
	}
	w.Do(t, func(ctx context.Context) error {
		a, err := w.Application(ctx, app.ClientID)
		if err == nil && len(a.Secrets) > 5 {
			t.Errorf("%d secrets are kept", len(a.Secrets))
		}
		return err
	})
	if !good(third) {
		t.Error("the newest secret is not good")
	}
	spa, none := w.NewApplication(t, &directory.Application{Name: "spa", Type: directory.TypeSPA})
	if none != "" || w.CheckSecret(spa, "") {
		t.Error("a public application has a secret")
	}
	fails(t, w, directory.ErrInvalid, func(ctx context.Context) error {
		_, _, err := w.RotateSecret(ctx, directory.Command, spa.ClientID, 0)
		return err
	})
}

func TestConnectionSecretIsSealed(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	w.Do(t, func(ctx context.Context) error {
		c, err := w.CreateConnection(ctx, directory.Command, &directory.Connection{Name: "google", Strategy: directory.StrategyOIDC, ForAll: true,
			Options: directory.ConnectionOptions{Issuer: "https://accounts.example.com", ClientID: "abc"}})
		if err != nil {
			return err
		}
		if err := w.SetConnectionSecret(ctx, directory.Command, c.ID, "s3cret"); err != nil {
			return err
		}
		c, err = w.UpdateConnection(ctx, directory.Command, c.ID, func(c *directory.Connection) error {
			c.Options.SealedSecret = nil // an update does not lose it
			return nil
		})
		if err != nil {
			return err
		}
		if strings.Contains(string(c.Options.SealedSecret), "s3cret") {
			t.Error("the secret is readable")
		}
		secret, err := w.ConnectionSecret(c)
		if err == nil && secret != "s3cret" {
			t.Errorf("secret is %q", secret)
		}
		c.ID = "con_other"
		if _, err := w.ConnectionSecret(c); err == nil {
			t.Error("it opens for another connection")
		}
		return err
	})
}

func TestDefaultsAreMadeOnce(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	count := func() (n int) {
		w.Do(t, func(ctx context.Context) error {
			l, err := w.AuditLog(ctx, directory.AuditFilter{})
			n = l.Total
			return err
		})
		return n
	}
	before := count()
	w.Do(t, w.EnsureDefaults)
	publish := func(ctx context.Context) error {
		_, err := w.PublishPermissions(ctx, api, "App", []directory.Permission{{Value: "read:x", Description: "Read"}})
		return err
	}
	w.Do(t, publish)
	if got := count() - before; got != 1 {
		t.Errorf("%d entries, want that of the new API alone", got)
	}
	w.Do(t, publish)
	w.Do(t, func(ctx context.Context) error {
		a, err := w.PublishPermissions(ctx, api, "App", []directory.Permission{{Value: "write:x"}})
		if err == nil && (len(a.Permissions) != 2 || a.Permissions[0].Description != "Read" || !a.EnforcePolicies) {
			t.Errorf("API is %+v", a)
		}
		return err
	})
	if got := count() - before; got != 2 {
		t.Errorf("%d entries, want one more", got)
	}
}
