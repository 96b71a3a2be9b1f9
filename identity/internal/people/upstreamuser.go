package people

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
)

// upstreamProfile is what an issuer upstream says of a user.
type upstreamProfile struct {
	Subject         string   `json:"-"`
	AuthorizedParty string   `json:"azp"`
	Email           string   `json:"email"`
	EmailVerified   truthful `json:"email_verified"`
	Name            string   `json:"name"`
	GivenName       string   `json:"given_name"`
	FamilyName      string   `json:"family_name"`
	Nickname        string   `json:"nickname"`
	Picture         string   `json:"picture"`
}

// truthful is a boolean that some issuers send as a string.
type truthful bool

// UnmarshalJSON implements json.Unmarshaler.
func (t *truthful) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	*t = text == "true"
	return nil
}

// maxClaim bounds a claim that is kept, in bytes; longer ones are left out.
const maxClaim = 2048

func (w *upstreamProfile) identity(c *directory.Connection) directory.Identity {
	profile := map[string]any{}
	for name, value := range map[string]string{"email": w.Email, "name": w.Name, "picture": w.Picture} {
		if value != "" && len(value) <= maxClaim {
			profile[name] = value
		}
	}
	profile["email_verified"] = bool(w.EmailVerified)
	return directory.Identity{Connection: c.Name, Provider: c.Strategy, UserID: w.Subject, IsSocial: false, Profile: profile}
}

// fill sets what an issuer says of a user who is its own.
func (w *upstreamProfile) fill(u *directory.User) {
	for field, value := range map[*string]string{
		&u.Name: w.Name, &u.GivenName: w.GivenName, &u.FamilyName: w.FamilyName, &u.Nickname: w.Nickname, &u.Picture: w.Picture,
	} {
		if value = strings.TrimSpace(value); value != "" && len(value) <= maxClaim {
			*field = value
		}
	}
	if directory.CheckEmail("email", w.Email) == nil {
		u.SetEmail(w.Email, bool(w.EmailVerified))
	}
}

// leaveOut empties the field that an error is about; it reports false for one that a user must have.
func (w *upstreamProfile) leaveOut(err error) bool {
	var field *directory.FieldError
	if !errors.As(err, &field) {
		return false
	}
	for name, value := range map[string]*string{
		"name": &w.Name, "given_name": &w.GivenName, "family_name": &w.FamilyName, "nickname": &w.Nickname, "picture": &w.Picture,
	} {
		if field.Field == name && *value != "" {
			*value = ""
			return true
		}
	}
	return false
}

// upstreamUser finds the user of an account upstream, or makes one as the connection's rules say.
func (p *People) upstreamUser(ctx context.Context, q *request, c *directory.Connection, who *upstreamProfile) (*directory.User, error) {
	user, err := p.env.UserByUpstream(ctx, c.Name, who.Subject)
	if err == nil {
		return p.refresh(ctx, c, user, who)
	}
	if !errors.Is(err, directory.ErrNotFound) {
		return nil, err
	}
	// Only an address that the issuer vouches for says that this is somebody whom we know.
	if who.EmailVerified && directory.CheckEmail("email", who.Email) == nil {
		known, err := p.env.UsersWithEmail(ctx, who.Email)
		if err != nil {
			return nil, err
		}
		if len(known) > 0 {
			return p.linkByEmail(ctx, q, c, who, known)
		}
	}
	if c.Options.DisableSignup {
		return nil, errNoSignup
	}
	for {
		fresh := &directory.User{Connection: c.Name, Identities: []directory.Identity{who.identity(c)}}
		who.fill(fresh)
		user, err = p.env.CreateUser(ctx, q.actor(""), fresh)
		if err == nil {
			break
		}
		if !who.leaveOut(err) {
			return nil, err
		}
	}
	return user, p.env.Audit(ctx, q.actor(user.ID).Entry(directory.AuditSignup, user.ID, "by "+c.Name))
}

// linkByEmail links an account upstream to the user who has its address, if the connection is
// trusted with that and both addresses are proven.
func (p *People) linkByEmail(ctx context.Context, q *request, c *directory.Connection, who *upstreamProfile, known []*directory.User) (*directory.User, error) {
	if c.Options.Link != directory.LinkVerified || len(known) != 1 || !known[0].EmailVerified {
		return nil, &fault{http.StatusForbidden, "You have an account already", "There is an account with your address. Sign in to it as you did before; then you can link the other one on your account's page."}
	}
	return p.env.LinkIdentity(ctx, q.actor(known[0].ID), known[0].ID, who.identity(c))
}

// refresh keeps what an issuer says of a user up to date: the profile of the account, and of users whose
// own account it is, their own.
func (p *People) refresh(ctx context.Context, c *directory.Connection, user *directory.User, who *upstreamProfile) (*directory.User, error) {
	for {
		changed, err := p.env.TouchUser(ctx, user.ID, func(u *directory.User) error {
			for i := range u.Identities {
				if u.Identities[i].Connection == c.Name && u.Identities[i].UserID == who.Subject {
					u.Identities[i].Profile = who.identity(c).Profile
				}
			}
			if u.Connection == c.Name {
				who.fill(u)
			}
			return nil
		})
		if err == nil || !who.leaveOut(err) {
			return changed, err
		}
	}
}

// link links an account upstream to the user who asked for it on the account's page, who must
// still be signed in.
func (p *People) link(ctx context.Context, q *request, c *directory.Connection, who *upstreamProfile, userID string) (*answer, error) {
	s, user, login, err := q.session(ctx, "/u/account")
	if err != nil || login != nil {
		return login, err
	}
	if user.ID != userID {
		return nil, &fault{http.StatusForbidden, "Please try again", "Somebody else is signed in now."}
	}
	_, err = p.env.LinkIdentity(ctx, q.actor(user.ID), user.ID, who.identity(c))
	if errors.Is(err, directory.ErrExists) {
		return p.account(ctx, q, s, user, "That account is linked already, to this or to another account here.")
	}
	if errors.Is(err, directory.ErrInvalid) {
		return p.account(ctx, q, s, user, "That account cannot be linked.")
	}
	return &answer{to: "/u/account?done=linked"}, err
}
