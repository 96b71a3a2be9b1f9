package directory

import (
	"context"
	"log/slog"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/mail"
)

// Env is what all parts of the provider work with.
type Env struct {
	// Unit runs fn in a unit of work: what it reads and writes through its context commits in
	// one step. It may run fn several times.
	Unit func(ctx context.Context, fn func(ctx context.Context) error) error
	// Clock is the time.
	Clock clock.Clock
	// Seal protects what must not be readable at rest.
	Seal Sealer
	// Issuer is the issuer's URL, with the slash at its end.
	Issuer string
	// Mail sends messages to users; nil when the provider cannot.
	Mail mail.Sender
	// Log gets what an operator should know.
	Log *slog.Logger
	// OnUserDeleted are called in the unit in which a user is deleted, to delete what other parts
	// keep of the user.
	OnUserDeleted []func(ctx context.Context, userID string) error
	// OnEnded are called in the unit in which somebody may not act any more: a user who is blocked, an application or a managed
	// identity that is deleted. Subject is as tokens name it.
	OnEnded []func(ctx context.Context, subject string) error

	keys keyring
}

// Sealer encrypts and authenticates. What was sealed for a purpose opens for that purpose
// alone.
type Sealer interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
}

// ended tells what has to know that somebody may not act any more.
func (e *Env) ended(ctx context.Context, subject string) error {
	for _, told := range e.OnEnded {
		if err := told(ctx, subject); err != nil {
			return err
		}
	}
	return nil
}

// Now is the time in UTC.
func (e *Env) Now() time.Time { return e.Clock.Now().UTC() }
