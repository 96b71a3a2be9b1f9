package jetstream

import (
	"time"

	"github.com/nats-io/nats.go"

	"github.com/perdure/perdure/internal/records"
)

// Encode and Decode give tests the messages of events.
func Encode(e *records.Event, subject, origin, target string) (*nats.Msg, error) {
	return encode(e, subject, origin, target)
}

// Decode also returns where the message comes from.
func Decode(header nats.Header, data []byte, stored time.Time) (*records.Event, string, uint64, error) {
	e, from, err := decode(header, data, stored)
	return e, from.origin, from.position, err
}
