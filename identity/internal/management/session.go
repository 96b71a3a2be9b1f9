package management

import (
	"context"
	"net/http"

	"github.com/perdure/perdure/identity/internal/directory"
)

func userSessionEndpoints() []endpoint {
	return []endpoint{
		{method: http.MethodGet, path: "users/{id}/sessions", permissions: []string{"read:sessions"}, query: parameters(pages, marks), run: listUserSessions},
		{method: http.MethodDelete, path: "users/{id}/sessions", permissions: []string{"delete:sessions"}, run: deleteUserSessions},
		{method: http.MethodDelete, path: "users/{id}/refresh-tokens", permissions: []string{"delete:refresh_tokens"}, needs: hasTokens, run: deleteUserTokens},
		{method: http.MethodGet, path: "sessions/{id}", permissions: []string{"read:sessions"}, run: readSession},
		{method: http.MethodDelete, path: "sessions/{id}", permissions: []string{"delete:sessions"}, run: deleteSession},
		{method: http.MethodPost, path: "sessions/{id}/revoke", permissions: []string{"delete:sessions"}, run: deleteSession},
	}
}

// deleteUserTokens revokes the refresh tokens of a user.
func deleteUserTokens(ctx context.Context, c *call) (*answer, error) {
	if _, err := c.env.User(ctx, c.args["id"]); err != nil {
		return nil, err
	}
	return accepted, c.revokeTokens(ctx, c.args["id"], "")
}

func (c *call) revokeTokens(ctx context.Context, userID, sessionID string) error {
	if c.parts.Tokens == nil {
		return nil
	}
	return c.parts.Tokens.RevokeUser(ctx, userID, sessionID)
}

// accepted is Auth0's answer to what ends sessions.
var accepted = &answer{status: http.StatusAccepted}

// maxSessions is how many sessions of a user are listed and ended at once.
const maxSessions = 1000

// sessionsOf returns the sessions of a user.
func sessionsOf(ctx context.Context, userID string) (found []*directory.Session, err error) {
	for row, err := range directory.Sessions.ScanIndex(ctx, directory.SessionsByUser.Equal(userID)) {
		if err != nil {
			return nil, err
		}
		if found = append(found, row.Value); len(found) == maxSessions {
			break
		}
	}
	return found, nil
}

func listUserSessions(ctx context.Context, c *call) (*answer, error) {
	p, err := c.paging()
	if err != nil {
		return nil, err
	}
	if _, err := c.env.User(ctx, c.args["id"]); err != nil {
		return nil, err
	}
	sessions, err := sessionsOf(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	l, err := cut(p, sessions)
	if err != nil {
		return nil, err
	}
	return answerList(c, "sessions", p, l, shapeSession)
}

func deleteUserSessions(ctx context.Context, c *call) (*answer, error) {
	if _, err := c.env.User(ctx, c.args["id"]); err != nil {
		return nil, err
	}
	return accepted, c.endSessions(ctx, c.args["id"])
}

// endSessions signs a user out everywhere: here, and from applications with refresh tokens.
func (c *call) endSessions(ctx context.Context, userID string) error {
	if err := c.revokeTokens(ctx, userID, ""); err != nil {
		return err
	}
	sessions, err := sessionsOf(ctx, userID)
	if err != nil {
		return err
	}
	for _, s := range sessions {
		if err := c.endSession(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) endSession(ctx context.Context, s *directory.Session) error {
	if err := c.revokeTokens(ctx, s.UserID, s.ID); err != nil {
		return err
	}
	if err := directory.Sessions.Delete(ctx, directory.Key(s.ID)); err != nil {
		return err
	}
	return c.note(ctx, directory.AuditSessionRevoked, s.UserID, "session was ended through the management API")
}

func (c *call) session(ctx context.Context) (*directory.Session, error) {
	id := c.args["id"]
	if len(id) > directory.MaxID {
		return nil, directory.ErrNotFound
	}
	return directory.Sessions.Get(ctx, directory.Key(id))
}

func readSession(ctx context.Context, c *call) (*answer, error) {
	s, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	return ok(shapeSession(s))
}

func deleteSession(ctx context.Context, c *call) (*answer, error) {
	s, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	return accepted, c.endSession(ctx, s)
}
