package perdure

import (
	"errors"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/unit"
)

// The errors of this package. Compare with errors.Is.
var (
	// ErrNoUnit: the context carries no unit of work. Functions get one that
	// does; elsewhere use App.Unit.
	ErrNoUnit = unit.ErrNoUnit
	// ErrUnitClosed: the unit of work has ended, by commit, failure or timeout.
	ErrUnitClosed = unit.ErrUnitClosed
	// ErrInsideUnit: the call would wait for what cannot exist before the unit
	// of work it is made in has committed.
	ErrInsideUnit = unit.ErrInsideUnit
	// ErrConflict: a unit of work was run as often as allowed, and each time
	// something it had read was changed before it could commit.
	ErrConflict = unit.ErrConflict
	// ErrTooLarge: the unit of work buffers or reads more than it may.
	ErrTooLarge = unit.ErrTooLarge
	// ErrNotFound: a row, blob or other resource does not exist. The errors of
	// the resource packages match it.
	ErrNotFound = resource.ErrNotFound
	// ErrNoDeadLetter: there is no dead letter of that function with that id.
	ErrNoDeadLetter = delivery.ErrNoDeadLetter
	// ErrBadEvent: the event of a dead letter was to be replaced by what is not JSON.
	ErrBadEvent = delivery.ErrBadEvent
	// ErrNoRun: Extend was called where no event is handled, or after the time of
	// the run was over.
	ErrNoRun = delivery.ErrNoLease
	// ErrConfig: the app cannot start as it was put together; the text names
	// each mistake and its mend.
	ErrConfig = errors.New("perdure: configuration")
	// ErrNotRunning: the app was not started or has stopped.
	ErrNotRunning = errors.New("perdure: app is not running")
)

// Problem is an error that chooses the HTTP answer: problem details as RFC 9457
// defines them.
type Problem = problem.Error

// NewProblem returns the error that answers a request with a status and an
// explanation for the caller.
func NewProblem(status int, detail string) *Problem { return problem.New(status, detail) }

// Permanent marks an error as one that trying again does not help against: the event
// that caused it becomes a dead letter at once. Permanent(nil) is nil.
func Permanent(err error) error { return delivery.Permanent(err) }
