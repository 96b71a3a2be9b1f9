package management

import (
	"context"
	"net/http"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
)

func ticketEndpoints() []endpoint {
	return []endpoint{
		{method: http.MethodPost, path: "tickets/email-verification", permissions: []string{"create:user_tickets"}, needs: hasTickets, run: createVerification},
		{method: http.MethodPost, path: "tickets/password-change", permissions: []string{"create:user_tickets"}, needs: hasTickets, run: createPasswordChange},
		{method: http.MethodPost, path: "jobs/verification-email", permissions: []string{"update:users"}, needs: hasTickets, run: sendVerification},
	}
}

// maxTTL is how long a link may be good.
const maxTTL = 30 * 24 * time.Hour

// ticketBody is what a link is made by. A result_url is not supported: it would be an open redirect.
type ticketBody struct {
	UserID       string `json:"user_id"`
	ClientID     string `json:"client_id"`
	ConnectionID string `json:"connection_id"`
	Email        string `json:"email"`
	TTL          int    `json:"ttl_sec"`
	VerifyEmail  bool   `json:"mark_email_as_verified"`
}

// ticket finds the user of a body and says what the link is for.
func (c *call) ticket(ctx context.Context) (t Ticket, err error) {
	var b ticketBody
	if err := c.decode("ticket", &b); err != nil {
		return t, err
	}
	ttl := time.Duration(b.TTL) * time.Second
	if b.TTL < 0 || b.TTL > int(maxTTL/time.Second) {
		return t, invalid("\"ttl_sec\" must be from 0 to %d", int(maxTTL/time.Second))
	}
	var u *directory.User
	switch {
	case b.UserID != "" && b.ConnectionID == "" && b.Email == "":
		u, err = c.env.User(ctx, b.UserID)
	case b.UserID == "" && b.ConnectionID != "" && b.Email != "":
		var connection *directory.Connection
		if connection, err = c.env.Connection(ctx, b.ConnectionID); err == nil {
			u, err = c.env.UserByEmail(ctx, connection.Name, b.Email)
		}
	default:
		return t, invalid("either \"user_id\" or \"connection_id\" with \"email\" is needed")
	}
	if err != nil {
		return t, err
	}
	return Ticket{UserID: u.ID, Email: u.Email, ClientID: b.ClientID, TTL: ttl, VerifyEmail: b.VerifyEmail}, nil
}

func createVerification(ctx context.Context, c *call) (*answer, error) {
	t, err := c.ticket(ctx)
	if err != nil {
		return nil, err
	}
	link, err := c.parts.Tickets.VerifyEmail(ctx, t, false)
	if err != nil {
		return nil, err
	}
	if err := c.note(ctx, directory.AuditUpdated, t.UserID, "a link to verify the address was made"); err != nil {
		return nil, err
	}
	return created(map[string]string{"ticket": link})
}

func createPasswordChange(ctx context.Context, c *call) (*answer, error) {
	t, err := c.ticket(ctx)
	if err != nil {
		return nil, err
	}
	link, err := c.parts.Tickets.ChangePassword(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := c.note(ctx, directory.AuditUpdated, t.UserID, "a link to choose a password was made"); err != nil {
		return nil, err
	}
	return created(map[string]string{"ticket": link})
}

func sendVerification(ctx context.Context, c *call) (*answer, error) {
	t, err := c.ticket(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.parts.Tickets.VerifyEmail(ctx, t, true); err != nil {
		return nil, err
	}
	if err := c.note(ctx, directory.AuditUpdated, t.UserID, "a link to verify the address was sent"); err != nil {
		return nil, err
	}
	return created(map[string]any{
		"id": "job_" + t.UserID, "type": "verification_email", "status": "completed", "created_at": stamp(c.env.Now()),
	})
}
