package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/managed"
)

// ErrNoMember: there is nobody by that name.
var ErrNoMember = errors.New("perdure: nobody has that name")

// Member is somebody to whom rights can be given.
type Member struct {
	// Subject is as tokens name it; that of a role is "role:NAME".
	Subject string
	// Kind is "user", "app", "identity" or "role".
	Kind string
	// Name is what to call it.
	Name string
}

// clientsSuffix ends the subject of an application that acts for itself.
const clientsSuffix = "@clients"

// Member finds somebody in the unit of work of ctx: "user:ID", or an address or user name of the default connection; "app:CLIENT_ID";
// "identity:NAME", of a managed identity; "role:NAME"; "self", the app's own managed identity. It fails with ErrNoMember.
func (p *Provider) Member(ctx context.Context, spec string) (Member, error) {
	kind, name, _ := strings.Cut(spec, ":")
	find := map[string]func(context.Context, string) (Member, error){
		"user": p.userMember, "app": p.applicationMember, "identity": p.identityMember, "role": p.roleMember, "self": p.selfMember,
	}[kind]
	if find == nil {
		return Member{}, fmt.Errorf("%w: %q: want user:, app:, identity: or role: and a name, or self", ErrNoMember, spec)
	}
	m, err := find(ctx, name)
	if errors.Is(err, directory.ErrNotFound) {
		err = fmt.Errorf("%w: %q", ErrNoMember, spec)
	}
	m.Kind = kind
	return m, err
}

func (p *Provider) userMember(ctx context.Context, name string) (Member, error) {
	u, err := p.env.User(ctx, name)
	if errors.Is(err, directory.ErrNotFound) {
		u, err = p.env.UserByLogin(ctx, directory.DefaultConnection, name)
	}
	if err != nil {
		return Member{}, err
	}
	for _, called := range []string{u.Email, u.Username, u.Name} {
		if called != "" {
			return Member{Subject: u.ID, Name: called}, nil
		}
	}
	return Member{Subject: u.ID, Name: u.ID}, nil
}

func (p *Provider) applicationMember(ctx context.Context, id string) (Member, error) {
	a, err := p.env.Application(ctx, id)
	if err != nil {
		return Member{}, err
	}
	return Member{Subject: a.ClientID + clientsSuffix, Name: a.Name}, nil
}

func (p *Provider) identityMember(ctx context.Context, name string) (Member, error) {
	m, err := p.env.ManagedIdentityByName(ctx, name)
	if err != nil {
		return Member{}, err
	}
	return Member{Subject: m.ID, Name: m.Name}, nil
}

func (p *Provider) roleMember(ctx context.Context, name string) (Member, error) {
	r, err := p.env.RoleByName(ctx, name)
	if err != nil {
		return Member{}, err
	}
	return Member{Subject: "role:" + r.Name, Name: r.Name}, nil
}

func (p *Provider) selfMember(ctx context.Context, _ string) (Member, error) {
	m, err := p.systemIdentity(ctx)
	if err != nil {
		return Member{}, err
	}
	return Member{Subject: m.ID, Name: m.Name}, nil
}

// RolesOf returns the names of the roles that a user or a managed identity has at present, in the unit of work of ctx. Nobody,
// and an application, have none.
func (p *Provider) RolesOf(ctx context.Context, subject string) ([]string, error) {
	rights, err := p.rightsOf(ctx, subject)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_, roles, err := p.env.RightsAt(ctx, rights, "")
	return roles, err
}

func (p *Provider) rightsOf(ctx context.Context, subject string) (directory.Rights, error) {
	if m, err := p.env.ManagedIdentityByObject(ctx, subject); !errors.Is(err, directory.ErrNotFound) {
		if err != nil {
			return directory.Rights{}, err
		}
		return m.Rights, nil
	}
	u, err := p.env.User(ctx, subject)
	if err != nil {
		return directory.Rights{}, err
	}
	return u.Rights, nil
}

// PublishAPI makes an audience for tokens known, of a service beside the app's functions, in the unit of work of ctx. What its
// callers may do is for the service to say. People are asked before an application, also one of the house, acts there for them.
func (p *Provider) PublishAPI(ctx context.Context, identifier, name string) error {
	_, err := p.env.APIByIdentifier(ctx, identifier)
	if errors.Is(err, directory.ErrNotFound) {
		_, err = p.env.CreateAPI(ctx, directory.Itself, &directory.API{
			Identifier: identifier, Name: name, EnforcePolicies: true, TokenDialect: directory.DialectPermissions,
		})
	}
	return err
}

// Admit lets somebody have tokens for an audience, in the unit of work of ctx: an application by a grant without permissions, a managed
// identity by one of its resources. People have them anyway.
func (p *Provider) Admit(ctx context.Context, subject, audience string) error {
	if client, ok := strings.CutSuffix(subject, clientsSuffix); ok {
		_, err := p.env.GrantOf(ctx, client, audience)
		if errors.Is(err, directory.ErrNotFound) {
			_, err = p.env.CreateClientGrant(ctx, directory.Itself, &directory.ClientGrant{ClientID: client, Audience: audience})
		}
		return err
	}
	m, err := p.env.ManagedIdentityByObject(ctx, subject)
	if errors.Is(err, directory.ErrNotFound) {
		return nil
	}
	if err != nil || slices.Contains(m.Resources, audience) {
		return err
	}
	_, err = p.env.UpdateManagedIdentity(ctx, directory.Itself, m.ClientID, func(m *directory.ManagedIdentity) error {
		m.Resources = append(m.Resources, audience)
		return nil
	})
	return err
}

// Self returns the app itself, as its tokens would name it.
func (p *Provider) Self(ctx context.Context) (who *auth.Principal, err error) {
	err = p.env.Unit(ctx, func(ctx context.Context) error {
		m, err := p.systemIdentity(ctx)
		if err == nil {
			who = &auth.Principal{Subject: m.ID, Issuer: p.options.Issuer, Name: m.Name, ClientID: m.ClientID}
		}
		return err
	})
	return who, err
}

// Workload returns the managed identity for which a program of this machine sends a request, by the secret that "perdure identity exec" has
// given it. The text of an error that matches auth.ErrUnauthenticated is fit for the caller.
func (p *Provider) Workload(r *http.Request) (Member, error) {
	m, err := p.managed.Identify(r)
	if refused := (*managed.RefusedError)(nil); errors.As(err, &refused) {
		return Member{}, &auth.TokenError{Reason: refused.Reason}
	}
	if err != nil {
		return Member{}, err
	}
	return Member{Subject: m.ID, Kind: "identity", Name: m.Name}, nil
}
