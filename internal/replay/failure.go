package replay

import (
	"fmt"

	"github.com/perdure/perdure/internal/history"
)

// Mismatch says that the code does not decide what history recorded.
type Mismatch struct {
	Instance string
	Turn     int
	// Expected is what history has, Found what the code does.
	Expected, Found string
}

// Error implements error.
func (e *Mismatch) Error() string {
	return fmt.Sprintf("instance %q does not match its code in turn %d: history has %s, the code has %s",
		e.Instance, e.Turn, e.Expected, e.Found)
}

// Panic says that the code panicked.
type Panic struct {
	Value any
	Stack string
}

// Error implements error.
func (e *Panic) Error() string { return fmt.Sprintf("orchestration panicked: %v", e.Value) }

// Continue, returned as an error by a Code, ends this generation of the instance
// and starts the next with Input.
type Continue struct{ Input []byte }

// Error implements error.
func (e *Continue) Error() string { return "continue as new" }

// CanceledType is the type of the failure of a call that was canceled.
const CanceledType = "canceled"

// errCanceled is the failure of every call of a canceled instance.
var errCanceled = &history.Failure{Type: CanceledType, Message: "canceled", NonRetryable: true}

// FailureError carries a failure out of a Code.
type FailureError struct{ Failure *history.Failure }

// Error implements error.
func (e *FailureError) Error() string { return e.Failure.Message }
