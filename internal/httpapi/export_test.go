package httpapi

import (
	"net/http"
	"time"

	"github.com/perdure/perdure/internal/telemetry"
)

// Observed is observed.
func Observed(t *telemetry.Telemetry, route string, next http.Handler) http.Handler {
	return observed(t, route, next)
}

// PaceWith is Pace with another grace and rate.
func PaceWith(next http.Handler, grace time.Duration, rate int64) http.Handler {
	return pace(next, grace, rate)
}
