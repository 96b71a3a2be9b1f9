package management

import (
	"context"
	"time"
)

// Parts are what other parts of the provider do for the management API. Endpoints whose part is nil
// are not there. What they do, they do in the unit of work of the context, and the
// management API writes the audit log of it.
type Parts struct {
	Passwords Passwords
	Tickets   Tickets
	Factors   Factors
	Blocks    Blocks
	Tokens    Tokens
}

// Passwords sets the passwords of users.
type Passwords interface {
	// Set checks a password against the rules of the user's connection and keeps its hash. A
	// *PasswordError says what is wrong with the password.
	Set(ctx context.Context, userID, password string) error
}

// PasswordError says why a password is not good enough.
type PasswordError struct{ Reason string }

// Error implements error.
func (e *PasswordError) Error() string { return "password: " + e.Reason }

// Tickets makes links by which users prove an address or choose a password.
type Tickets interface {
	// VerifyEmail returns the link that marks the address of a user as verified, and sends it to
	// the user if mail is set.
	VerifyEmail(ctx context.Context, t Ticket, mail bool) (link string, err error)
	// ChangePassword returns the link at which a user chooses a password.
	ChangePassword(ctx context.Context, t Ticket) (link string, err error)
}

// Ticket is what a link is for.
type Ticket struct {
	UserID   string
	Email    string        // that was asked about; that of the user if it is empty
	ClientID string        // of the application to return to; may be empty
	TTL      time.Duration // how long it is good; zero is the default
	// VerifyEmail marks the address as verified when a password was chosen by a link that
	// was sent there.
	VerifyEmail bool
}

// Factors are what users sign in with besides a password.
type Factors interface {
	List(ctx context.Context, userID string) ([]Factor, error)
	// Delete removes one, or all if the id is empty. It reports whether there was one.
	Delete(ctx context.Context, userID, id string) (bool, error)
}

// Factor is an authenticator of a user, without what it is checked by.
type Factor struct {
	ID        string
	Type      string // "totp", "passkey", "webauthn-roaming", "recovery-code"
	Name      string
	CreatedAt time.Time
	LastUsed  time.Time
}

// Blocks are the logins that are refused after too many attempts.
type Blocks interface {
	List(ctx context.Context, userID string) ([]Block, error)
	Remove(ctx context.Context, userID string) error
}

// Block is a login that is refused.
type Block struct {
	Identifier string `json:"identifier"` // the e-mail address or username
	IP         string `json:"ip,omitempty"`
}

// Tokens are the refresh tokens that users' applications have.
type Tokens interface {
	// RevokeUser revokes those of a user; with a session, those that came of it alone.
	RevokeUser(ctx context.Context, userID, sessionID string) error
}

func hasTokens(p Parts) bool  { return p.Tokens != nil }
func hasTickets(p Parts) bool { return p.Tickets != nil }
func hasFactors(p Parts) bool { return p.Factors != nil }
func hasBlocks(p Parts) bool  { return p.Blocks != nil }
