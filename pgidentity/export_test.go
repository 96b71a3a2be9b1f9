package pgidentity

import (
	"context"

	"github.com/perdure/perdure/internal/clock"
)

// AsAt is As by a clock.
func AsAt(server string, source Source, c clock.Clock) Login { return as(server, source, c) }

// Keep returns what keeps a certificate of a source, by a clock.
func Keep(server string, source Source, c clock.Clock) func(context.Context) (*Certificate, error) {
	k := &keeper{source: source, server: server, clock: c}
	return k.get
}

// Address is the URL of a request to an endpoint.
func (e *Endpoint) Address(server, lease string) (string, error) { return e.address(server, lease) }

// Detail is what an answer says.
var Detail = detail
