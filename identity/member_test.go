package identity_test

import (
	"context"
	"errors"
	"testing"

	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/identity/internal/directory"
)

func TestMembers(t *testing.T) {
	t.Parallel()
	p, w := startedOn(t)
	var user string
	w.Do(t, func(ctx context.Context) error {
		u, err := w.CreateUser(ctx, directory.Command, &directory.User{Connection: directory.DefaultConnection, Email: "ada@example.com"})
		if err == nil {
			user = u.ID
		}
		return err
	})
	find := func(spec string) (m identity.Member, err error) {
		err = w.Unit(t.Context(), func(ctx context.Context) error {
			m, err = p.Member(ctx, spec)
			return err
		})
		return m, err
	}
	for spec, want := range map[string]identity.Member{
		"user:ada@example.com":    {Subject: user, Kind: "user", Name: "ada@example.com"},
		"user:" + user:            {Subject: user, Kind: "user", Name: "ada@example.com"},
		"role:administrator":      {Subject: "role:administrator", Kind: "role", Name: "administrator"},
		"user:nobody@example.com": {}, "app:none": {}, "identity:none": {}, "role:none": {}, "ada@example.com": {}, "": {},
	} {
		m, err := find(spec)
		if want == (identity.Member{}) {
			if !errors.Is(err, identity.ErrNoMember) {
				t.Errorf("%q: %v, want ErrNoMember", spec, err)
			}
			continue
		}
		if err != nil || m != want {
			t.Errorf("%q: %+v, %v; want %+v", spec, m, err, want)
		}
	}
	self, err := find("self")
	if err != nil {
		t.Fatal(err)
	}
	who, err := p.Self(t.Context())
	if err != nil || who.Subject != self.Subject {
		t.Errorf("the app is %+v, %v; want %+v", who, err, self)
	}
}

// Who is admitted to an audience has tokens for it.
func TestAdmit(t *testing.T) {
	t.Parallel()
	p, w := startedOn(t)
	const audience = "https://vault.localhost:8443"
	if _, _, err := p.Token(t.Context(), audience); err == nil {
		t.Fatal("there is a token for an audience that nobody knows")
	}
	who, err := p.Self(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // again is no error
		err = w.Unit(t.Context(), func(ctx context.Context) error {
			return errors.Join(p.PublishAPI(ctx, audience, "Vault"), p.Admit(ctx, who.Subject, audience))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	token, _, err := p.Token(t.Context(), audience)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := p.Verifier(audience)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := verifier.Verify(t.Context(), token); err != nil || got.Subject != who.Subject {
		t.Errorf("%+v, %v", got, err)
	}
}
