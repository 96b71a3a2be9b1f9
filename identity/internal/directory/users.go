package directory

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// SetEmail gives the user an address, and says whether it is known to be the user's. In UpdateUser
// an address that is changed without it becomes unverified.
func (u *User) SetEmail(address string, verified bool) {
	u.Email, u.EmailVerified, u.emailSet = address, verified, true
}

// CreateUser makes a user. An id is given to it unless it has one; it must be new for all times.
// Without identities the user is one of the connection's own, which must be a database then.
func (e *Env) CreateUser(ctx context.Context, by Actor, u *User) (*User, error) {
	row := *u
	row.CreatedAt = e.Now()
	row.UpdatedAt = row.CreatedAt
	row.Rights = Rights{}
	row.Identities = slices.Clone(u.Identities)
	c, err := e.ConnectionByName(ctx, row.Connection)
	if errors.Is(err, ErrNotFound) {
		return nil, invalid("connection", "there is no connection %q", row.Connection)
	}
	if err != nil {
		return nil, err
	}
	if err := e.giveUserID(ctx, &row, c); err != nil {
		return nil, err
	}
	if err := e.checkUser(&row, c); err != nil {
		return nil, err
	}
	if err := claimUser(ctx, &row, c.Strategy); err != nil {
		return nil, err
	}
	if err := put(ctx, Users, "user", row.ID, &row); err != nil {
		return nil, err
	}
	if len(u.RoleIDs) > 0 {
		if err := e.AssignRoles(ctx, by, row.ID, KindUser, u.RoleIDs...); err != nil {
			return nil, err
		}
	}
	if len(u.Permissions) > 0 {
		if err := e.GrantPermissions(ctx, by, row.ID, KindUser, u.Permissions...); err != nil {
			return nil, err
		}
	}
	if err := e.note(ctx, by, AuditCreated, row.ID, "user was created in %q", c.Name); err != nil {
		return nil, err
	}
	return e.User(ctx, row.ID)
}

// giveUserID gives a user an id and the first identity.
func (e *Env) giveUserID(ctx context.Context, u *User, c *Connection) error {
	if u.ID == "" {
		u.ID = newID(c.Strategy+"|", u.CreatedAt)
		if len(u.Identities) > 0 && c.Strategy != StrategyDatabase {
			// The same person at the same issuer always has the same suffix elsewhere; here it is
			// random, because a subject may have any character.
			u.ID = newID(c.Name+"|", u.CreatedAt)
		}
	} else {
		if len(u.ID) > MaxID || !idText.MatchString(u.ID) || strings.HasSuffix(u.ID, "@clients") {
			return invalid("user_id", `%.200q is no id such as "perdure|1": letters and digits of ASCII and |_.~:@- are allowed, at most %d`, u.ID, MaxID)
		}
		if !strings.Contains(u.ID, "|") {
			u.ID = c.Strategy + "|" + u.ID
		}
		if _, err := DeletedUsers.Get(ctx, Key(u.ID)); err == nil {
			return fmt.Errorf("user %q was deleted, an id is not used again: %w", u.ID, ErrExists)
		} else if !errors.Is(err, ErrNotFound) {
			return err
		}
		if _, err := e.User(ctx, u.ID); err == nil {
			return fmt.Errorf("user %q: %w", u.ID, ErrExists)
		} else if !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	if len(u.Identities) == 0 {
		if c.Strategy != StrategyDatabase {
			return invalid("identities", "a user of the connection %q needs the subject at its issuer", c.Name)
		}
		_, suffix, _ := strings.Cut(u.ID, "|")
		u.Identities = []Identity{{Connection: c.Name, Provider: c.Strategy, UserID: suffix}}
	}
	return nil
}

func (e *Env) checkUser(u *User, c *Connection) error {
	if c.Strategy == StrategyDatabase && u.Email == "" && u.Username == "" {
		return invalid("email", "it is missing")
	}
	if c.Strategy == StrategyDatabase && c.Options.RequiresUsername && u.Username == "" {
		return invalid("username", "it is missing: the connection %q asks for one", c.Name)
	}
	if u.Email != "" {
		if err := CheckEmail("email", u.Email); err != nil {
			return err
		}
	} else {
		u.EmailVerified = false
	}
	if u.Username != "" {
		if err := checkUsername("username", u.Username); err != nil {
			return err
		}
	}
	if u.PhoneNumber != "" && !phoneNumber.MatchString(u.PhoneNumber) {
		return invalid("phone_number", `%.40q is no number such as "+4930123456"`, u.PhoneNumber)
	}
	if u.Picture != "" {
		if err := checkWebURL("picture", u.Picture); err != nil {
			return err
		}
	}
	for _, err := range []error{
		checkText("name", u.Name, 0, MaxText),
		checkText("given_name", u.GivenName, 0, MaxText),
		checkText("family_name", u.FamilyName, 0, MaxText),
		checkText("nickname", u.Nickname, 0, MaxText),
		checkMetadata("user_metadata", u.UserMetadata),
		checkMetadata("app_metadata", u.AppMetadata),
	} {
		if err != nil {
			return err
		}
	}
	if n := len(u.Identities); n > MaxIdentities {
		return invalid("identities", "there are %d, at most %d are allowed", n, MaxIdentities)
	}
	for i := range u.Identities {
		if err := checkIdentity(fmt.Sprintf("identities[%d]", i), &u.Identities[i]); err != nil {
			return err
		}
	}
	return nil
}

func checkIdentity(field string, i *Identity) error {
	if err := checkOneOf(field+".provider", i.Provider, StrategyDatabase, StrategyOIDC); err != nil {
		return err
	}
	switch {
	case i.UserID == "":
		return invalid(field+".user_id", "it is missing")
	case len(i.UserID) > MaxSubject || !utf8.ValidString(i.UserID) || strings.Contains(i.UserID, "\x00"):
		return invalid(field+".user_id", "it is no subject of at most %d bytes of UTF-8", MaxSubject)
	}
	return checkMetadata(field+".profileData", i.Profile)
}

// claimUser takes the names of a user.
func claimUser(ctx context.Context, u *User, strategy string) error {
	if strategy == StrategyDatabase {
		if err := claimLogin(ctx, u, NameOfEmail, canonicalEmail(u.Email)); err != nil {
			return err
		}
	}
	if err := claimLogin(ctx, u, NameOfUsername, strings.ToLower(u.Username)); err != nil {
		return err
	}
	for _, i := range u.Identities {
		if err := claimIdentity(ctx, u.ID, i); err != nil {
			return err
		}
	}
	return nil
}

func claimLogin(ctx context.Context, u *User, kind, name string) error {
	if name == "" {
		return nil
	}
	if err := claim(ctx, kind, inConnection(u.Connection, name), u.ID); err != nil {
		return fmt.Errorf("user with the %s %q: %w", kind, name, err)
	}
	return nil
}

func claimIdentity(ctx context.Context, userID string, i Identity) error {
	if err := claim(ctx, NameOfUpstream, inConnection(i.Connection, i.UserID), userID); err != nil {
		return fmt.Errorf("identity %q of %q: %w", i.UserID, i.Connection, err)
	}
	return nil
}

// User returns a user by id.
func (e *Env) User(ctx context.Context, id string) (*User, error) { return get(ctx, Users, "user", id) }

// UserByEmail returns the user of a connection who has an e-mail address, in any case. Where
// several have it, which is possible for issuers upstream, it is the oldest.
func (e *Env) UserByEmail(ctx context.Context, connection, email string) (*User, error) {
	id, err := holder(ctx, NameOfEmail, inConnection(connection, canonicalEmail(email)))
	if err == nil {
		return e.User(ctx, id)
	}
	if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	all, err := e.UsersWithEmail(ctx, email)
	if err != nil {
		return nil, err
	}
	for _, u := range all {
		if u.Connection == connection {
			return u, nil
		}
	}
	return nil, fmt.Errorf("user with the email %.80q: %w", email, ErrNotFound)
}

// UsersWithEmail returns the users of all connections who have an e-mail address, in any case,
// the oldest first; at most a hundred.
func (e *Env) UsersWithEmail(ctx context.Context, email string) ([]*User, error) {
	users := []*User{}
	if email == "" || len(email) > MaxEmail || strings.Contains(email, "\x00") {
		return users, nil
	}
	for row, err := range Users.ScanIndex(ctx, UsersByEmail.Equal(canonicalEmail(email))) {
		if err != nil {
			return nil, err
		}
		if users = append(users, row.Value); len(users) == MaxPerPage {
			break
		}
	}
	slices.SortStableFunc(users, func(a, b *User) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return users, nil
}

// UserByLogin returns the user of a connection who signs in with an e-mail address or a username.
func (e *Env) UserByLogin(ctx context.Context, connection, emailOrUsername string) (*User, error) {
	if strings.Contains(emailOrUsername, "@") {
		return e.UserByEmail(ctx, connection, emailOrUsername)
	}
	id, err := holder(ctx, NameOfUsername, inConnection(connection, strings.ToLower(emailOrUsername)))
	if err != nil {
		return nil, err
	}
	return e.User(ctx, id)
}

// UserByUpstream returns the user who has a subject at the issuer of a connection.
func (e *Env) UserByUpstream(ctx context.Context, connection, subject string) (*User, error) {
	id, err := holder(ctx, NameOfUpstream, inConnection(connection, subject))
	if err != nil {
		return nil, err
	}
	return e.User(ctx, id)
}

// UpdateUser changes a user. Id, connection, identities and rights have functions of their own, or
// never change; profiles of identities may be changed. An e-mail address that is changed other than
// by SetEmail becomes unverified. A user who is blocked loses the sessions and tokens.
func (e *Env) UpdateUser(ctx context.Context, by Actor, id string, fn func(*User) error) (*User, error) {
	row, err := e.changeUser(ctx, id, fn)
	if err != nil {
		return nil, err
	}
	return row, e.note(ctx, by, AuditUpdated, id, "user was updated")
}

// TouchUser is UpdateUser without an entry in the audit log: for what another entry tells, such as
// that the user has signed in.
func (e *Env) TouchUser(ctx context.Context, id string, fn func(*User) error) (*User, error) {
	return e.changeUser(ctx, id, fn)
}

func (e *Env) changeUser(ctx context.Context, id string, fn func(*User) error) (*User, error) {
	return update(ctx, Users, "user", id, func(u, old *User) error {
		if err := fn(u); err != nil {
			return err
		}
		if u.Connection != old.Connection {
			return invalid("connection", "it never changes")
		}
		if !slices.EqualFunc(u.Identities, old.Identities, sameIdentity) {
			return invalid("identities", "they are changed by linking and unlinking")
		}
		u.ID, u.CreatedAt, u.Rights = old.ID, old.CreatedAt, old.Rights
		if canonicalEmail(u.Email) != canonicalEmail(old.Email) && !u.emailSet {
			u.EmailVerified = false
		}
		u.emailSet = false
		u.UpdatedAt = e.Now()
		c, err := e.ConnectionByName(ctx, u.Connection)
		if err != nil {
			return err
		}
		if err := e.checkUser(u, c); err != nil {
			return err
		}
		if u.Blocked && !old.Blocked {
			if err := dropSessions(ctx, id); err != nil {
				return err
			}
			if err := e.ended(ctx, id); err != nil {
				return err
			}
		}
		return moveLogins(ctx, u, old, c.Strategy)
	})
}

func sameIdentity(a, b Identity) bool {
	a.Profile, b.Profile = nil, nil
	return reflect.DeepEqual(a, b)
}

// moveLogins changes the names by which a user signs in.
func moveLogins(ctx context.Context, u, old *User, strategy string) error {
	move := func(kind, name, was string) error {
		if name == was {
			return nil
		}
		if err := claimLogin(ctx, u, kind, name); err != nil || was == "" {
			return err
		}
		return release(ctx, kind, inConnection(u.Connection, was))
	}
	if strategy == StrategyDatabase {
		if err := move(NameOfEmail, canonicalEmail(u.Email), canonicalEmail(old.Email)); err != nil {
			return err
		}
	}
	return move(NameOfUsername, strings.ToLower(u.Username), strings.ToLower(old.Username))
}

// LinkIdentity lets a user sign in by one more account: ErrExists when somebody has it.
func (e *Env) LinkIdentity(ctx context.Context, by Actor, userID string, i Identity) (*User, error) {
	if err := checkIdentity("identity", &i); err != nil {
		return nil, err
	}
	row, err := update(ctx, Users, "user", userID, func(u, _ *User) error {
		if len(u.Identities) >= MaxIdentities {
			return invalid("identities", "there are %d, no more are allowed", len(u.Identities))
		}
		u.Identities, u.UpdatedAt = append(u.Identities, i), e.Now()
		return claimIdentity(ctx, u.ID, i)
	})
	if err != nil {
		return nil, err
	}
	return row, e.note(ctx, by, AuditLinked, userID, "an identity of %q was linked", i.Connection)
}

// UnlinkIdentity takes an account from a user. The first one stays: it is the user's own.
func (e *Env) UnlinkIdentity(ctx context.Context, by Actor, userID, connection, subject string) (*User, error) {
	row, err := update(ctx, Users, "user", userID, func(u, _ *User) error {
		n := slices.IndexFunc(u.Identities, func(i Identity) bool { return i.Connection == connection && i.UserID == subject })
		switch {
		case n < 0:
			return fmt.Errorf("identity %.80q of %.80q: %w", subject, connection, ErrNotFound)
		case n == 0:
			return invalid("identities[0]", "the first identity is the user's own and cannot be unlinked; delete the user instead")
		}
		u.Identities, u.UpdatedAt = slices.Delete(u.Identities, n, n+1), e.Now()
		return release(ctx, NameOfUpstream, inConnection(connection, subject))
	})
	if err != nil {
		return nil, err
	}
	return row, e.note(ctx, by, AuditUpdated, userID, "an identity of %q was unlinked", connection)
}

// DeleteUser deletes a user with the sessions, names and rights. What other parts keep of the user is
// deleted by OnUserDeleted.
func (e *Env) DeleteUser(ctx context.Context, by Actor, id string) error {
	u, err := e.User(ctx, id)
	if err != nil {
		return err
	}
	for _, deleted := range e.OnUserDeleted {
		if err := deleted(ctx, id); err != nil {
			return err
		}
	}
	if err := release(ctx, NameOfEmail, inConnection(u.Connection, canonicalEmail(u.Email))); err != nil {
		return err
	}
	if err := release(ctx, NameOfUsername, inConnection(u.Connection, strings.ToLower(u.Username))); err != nil {
		return err
	}
	for _, i := range u.Identities {
		if err := release(ctx, NameOfUpstream, inConnection(i.Connection, i.UserID)); err != nil {
			return err
		}
	}
	if err := dropRights(ctx, id, u.Rights); err != nil {
		return err
	}
	if err := dropSessions(ctx, id); err != nil {
		return err
	}
	if err := DeletedUsers.Put(ctx, Key(id), &DeletedUser{Deleted: e.Now()}); err != nil {
		return err
	}
	if err := Users.Delete(ctx, Key(id)); err != nil {
		return err
	}
	return e.note(ctx, by, AuditDeleted, id, "user was deleted")
}

// dropSessions deletes the sessions of a user, at most 10,000. Whoever finds one left over finds no
// user for it.
func dropSessions(ctx context.Context, id string) error {
	n := 0
	for row, err := range Sessions.ScanIndex(ctx, SessionsByUser.Equal(id)) {
		if err != nil {
			return err
		}
		if err := Sessions.Delete(ctx, row.Key.String()); err != nil {
			return err
		}
		if n++; n == 10_000 {
			break
		}
	}
	return nil
}
