package httpapi

import (
	"net/http"
	"time"
)

// PaceWith is Pace with another grace and rate.
func PaceWith(next http.Handler, grace time.Duration, rate int64) http.Handler {
	return pace(next, grace, rate)
}
