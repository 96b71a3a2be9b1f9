package management

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
)

func userEndpoints() []endpoint {
	list := parameters(pages, marks, fields, []string{"sort", "connection", "q", "search_engine", "primary_order"})
	return []endpoint{
		{method: http.MethodGet, path: "users", permissions: []string{"read:users"}, query: list, run: listUsers},
		{method: http.MethodPost, path: "users", permissions: []string{"create:users"}, run: createUser},
		{method: http.MethodGet, path: "users-by-email", permissions: []string{"read:users"}, query: parameters(fields, []string{"email"}), run: usersByEmail},
		{method: http.MethodGet, path: "users/{id}", permissions: []string{"read:users"}, query: fields, run: readUser},
		{method: http.MethodPatch, path: "users/{id}", permissions: []string{"update:users"}, run: updateUser},
		{method: http.MethodDelete, path: "users/{id}", permissions: []string{"delete:users"}, run: deleteUser},
		{method: http.MethodPost, path: "users/{id}/identities", permissions: []string{"update:users"}, run: linkIdentity},
		{method: http.MethodDelete, path: "users/{id}/identities/{provider}/{subject}", permissions: []string{"update:users"}, run: unlinkIdentity},
		{method: http.MethodGet, path: "user-blocks/{id}", permissions: []string{"read:users"}, needs: hasBlocks, run: readBlocks},
		{method: http.MethodDelete, path: "user-blocks/{id}", permissions: []string{"update:users"}, needs: hasBlocks, run: unblock},
	}
}

func listUsers(ctx context.Context, c *call) (*answer, error) {
	p, err := c.paging()
	if err != nil {
		return nil, err
	}
	if engine := c.query.Get("search_engine"); engine != "" && engine != "v3" {
		return nil, invalidQuery("search_engine must be v3, not %q", engine)
	}
	f := directory.UserFilter{Q: c.query.Get("q"), Sort: c.query.Get("sort"), Paging: p.Paging}
	if name := c.query.Get("connection"); name != "" {
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name)
		f.Q = strings.TrimSpace(f.Q)
		if f.Q != "" {
			if _, err := directory.ParseQuery(f.Q); err != nil { // alone: a parenthesis in it closes none of ours
				return nil, err
			}
			f.Q = "(" + f.Q + ") AND "
		}
		f.Q += `identities.connection:"` + quoted + `"`
	}
	l, err := c.env.ListUsers(ctx, f)
	if err != nil {
		return nil, err
	}
	return answerList(c, "users", p, l, shapeUser)
}

func usersByEmail(ctx context.Context, c *call) (*answer, error) {
	email := c.query.Get("email")
	if email == "" {
		return nil, invalidQuery("email is missing")
	}
	f, err := c.fieldFilter()
	if err != nil {
		return nil, err
	}
	users, err := c.env.UsersWithEmail(ctx, email)
	if err != nil {
		return nil, err
	}
	found := []any{}
	for _, u := range users {
		found = append(found, f.apply(shapeUser(u)))
	}
	return ok(found)
}

func readUser(ctx context.Context, c *call) (*answer, error) {
	f, err := c.fieldFilter()
	if err != nil {
		return nil, err
	}
	u, err := c.env.User(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	return ok(f.apply(shapeUser(u)))
}

func createUser(ctx context.Context, c *call) (*answer, error) {
	var b userBody
	if err := c.decode("user", &b); err != nil {
		return nil, err
	}
	if !b.Connection.given() {
		return nil, invalid("\"connection\" is missing")
	}
	u := &directory.User{ID: b.ID.value, Connection: b.Connection.value}
	b.apply(u)
	u, err := c.env.CreateUser(ctx, c.actor(), u)
	if err != nil {
		return nil, err
	}
	if u, err = c.setPassword(ctx, u, b.Password); err != nil {
		return nil, err
	}
	if err := c.verifyEmail(ctx, u, &b); err != nil {
		return nil, err
	}
	return created(shapeUser(u))
}

func updateUser(ctx context.Context, c *call) (*answer, error) {
	var b userBody
	if err := c.decode("user", &b); err != nil {
		return nil, err
	}
	if b.ID.present {
		return nil, invalid("\"user_id\" never changes")
	}
	id := c.args["id"]
	u, err := c.env.UpdateUser(ctx, c.actor(), id, func(u *directory.User) error {
		// Clients name the connection when they change the address or the password.
		if b.Connection.given() && b.Connection.value != u.Connection {
			return invalid("\"connection\" must be %q, that of the user", u.Connection)
		}
		b.apply(u)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if u, err = c.setPassword(ctx, u, b.Password); err != nil {
		return nil, err
	}
	if b.Password.given() || u.Blocked {
		// Who has the password before, or was blocked, is not to stay signed in.
		if err := c.endSessions(ctx, id); err != nil {
			return nil, err
		}
	}
	if err := c.verifyEmail(ctx, u, &b); err != nil {
		return nil, err
	}
	return ok(shapeUser(u))
}

// setPassword gives a user a password, if there is one.
func (c *call) setPassword(ctx context.Context, u *directory.User, password maybe[string]) (*directory.User, error) {
	if !password.given() {
		if password.present {
			return nil, invalid("\"password\" must not be null")
		}
		return u, nil
	}
	if c.parts.Passwords == nil {
		return nil, invalid("\"password\" is not supported here")
	}
	connection, err := c.env.ConnectionByName(ctx, u.Connection)
	if err != nil {
		return nil, err
	}
	if connection.Strategy != directory.StrategyDatabase {
		return nil, invalid("\"password\" is for users of a database: those of the connection %q sign in elsewhere", connection.Name)
	}
	err = c.parts.Passwords.Set(ctx, u.ID, password.value)
	if wrong := new(PasswordError); errors.As(err, &wrong) {
		return nil, fail(http.StatusBadRequest, "invalid_password", "PasswordStrengthError: %s", wrong.Reason)
	}
	if err != nil {
		return nil, err
	}
	if err := c.note(ctx, directory.AuditPasswordChanged, u.ID, "password was set through the management API"); err != nil {
		return nil, err
	}
	return c.env.User(ctx, u.ID)
}

// verifyEmail sends a user the link that proves the address, when that was asked for.
func (c *call) verifyEmail(ctx context.Context, u *directory.User, b *userBody) error {
	if !b.VerifyEmail.value {
		return nil
	}
	if c.parts.Tickets == nil {
		return invalid("\"verify_email\" must be false: there is no mail here")
	}
	_, err := c.parts.Tickets.VerifyEmail(ctx, Ticket{UserID: u.ID, Email: u.Email, ClientID: b.ClientID.value}, true)
	return err
}

func deleteUser(ctx context.Context, c *call) (*answer, error) {
	err := c.env.DeleteUser(ctx, c.actor(), c.args["id"])
	if errors.Is(err, directory.ErrNotFound) { // as Auth0 does
		return nil, nil
	}
	return none(err)
}

// linkBody names the account that a user also signs in by.
type linkBody struct {
	Provider     string        `json:"provider"`
	UserID       string        `json:"user_id"`
	ConnectionID string        `json:"connection_id"`
	LinkWith     maybe[string] `json:"link_with"`
}

// linkIdentity makes one user of two: the second is deleted, and the first signs in by its accounts as
// well.
func linkIdentity(ctx context.Context, c *call) (*answer, error) {
	var b linkBody
	if err := c.decode("body", &b); err != nil {
		return nil, err
	}
	if b.LinkWith.given() {
		return nil, invalid("\"link_with\" is not supported: name provider and user_id")
	}
	if b.UserID == "" || b.Provider == "" {
		return nil, invalid("\"provider\" and \"user_id\" are needed")
	}
	first, err := c.env.User(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	second, err := c.secondUser(ctx, &b)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, fail(http.StatusNotFound, "inexistent_user", "The user %q of %q does not exist.", b.UserID, b.Provider)
	}
	if err != nil {
		return nil, err
	}
	if first.ID == second.ID {
		return nil, invalid("\"user_id\": a user cannot be linked with itself")
	}
	if slices.ContainsFunc(second.Identities, func(i directory.Identity) bool { return i.Provider == directory.StrategyDatabase }) {
		return nil, invalid("\"user_id\": a user of a database has a password and rights that would be lost; only users of issuers upstream can be linked to another")
	}
	if err := c.env.DeleteUser(ctx, c.actor(), second.ID); err != nil {
		return nil, err
	}
	for _, i := range second.Identities {
		if first, err = c.env.LinkIdentity(ctx, c.actor(), first.ID, i); err != nil {
			return nil, err
		}
	}
	return created(shapeIdentities(first))
}

// secondUser finds the user whose account is linked.
func (c *call) secondUser(ctx context.Context, b *linkBody) (*directory.User, error) {
	if b.ConnectionID != "" {
		connection, err := c.env.Connection(ctx, b.ConnectionID)
		if err != nil {
			return nil, err
		}
		return c.env.UserByUpstream(ctx, connection.Name, b.UserID)
	}
	for _, id := range []string{b.UserID, b.Provider + "|" + b.UserID} {
		u, err := c.env.User(ctx, id)
		if err == nil && slices.ContainsFunc(u.Identities, func(i directory.Identity) bool { return i.Provider == providerOf(b.Provider) }) {
			return u, nil
		}
		if err != nil && !errors.Is(err, directory.ErrNotFound) {
			return nil, err
		}
	}
	all, err := c.env.ListConnections(ctx, directory.ConnectionFilter{
		Strategies: []string{providerOf(b.Provider)}, Paging: directory.Paging{Take: directory.MaxPerPage},
	})
	if err != nil {
		return nil, err
	}
	var found []*directory.User
	for _, connection := range all.Items {
		u, err := c.env.UserByUpstream(ctx, connection.Name, b.UserID)
		if err == nil {
			found = append(found, u)
		} else if !errors.Is(err, directory.ErrNotFound) {
			return nil, err
		}
	}
	switch len(found) {
	case 0:
		return nil, directory.ErrNotFound
	case 1:
		return found[0], nil
	}
	return nil, invalid("\"connection_id\" is needed: several connections have a user %q", b.UserID)
}

// providerOf is the strategy that Auth0's clients call by a name.
func providerOf(name string) string {
	if name == strategyDatabase {
		return directory.StrategyDatabase
	}
	return name
}

func unlinkIdentity(ctx context.Context, c *call) (*answer, error) {
	u, err := c.env.User(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	provider, subject := providerOf(c.args["provider"]), c.args["subject"]
	for _, i := range u.Identities {
		if i.Provider == provider && i.UserID == subject {
			u, err := c.env.UnlinkIdentity(ctx, c.actor(), u.ID, i.Connection, subject)
			if err != nil {
				return nil, err
			}
			return ok(shapeIdentities(u))
		}
	}
	return nil, fail(http.StatusNotFound, "inexistent_identity", "The user has no such identity.")
}
