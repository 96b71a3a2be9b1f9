package jetstream

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/perdure/perdure/internal/records"
)

// The headers of a message that are not those of its event.
const (
	// headerKey is the event's key. Any program may set it.
	headerKey = "Perdure-Key"
	// headerTime is when the event was appended, in RFC 3339.
	headerTime = "Perdure-Time"
	// headerOrigin and headerPosition name the event: the store it comes from, and
	// its position in that store's outbox.
	headerOrigin   = "Perdure-Origin"
	headerPosition = "Perdure-Position"
	// headerMore holds, as JSON, what a NATS header cannot.
	headerMore = "Perdure-More"
)

// The beginnings of names that NATS and this package keep for themselves.
var reserved = []string{"nats-", "perdure-"}

// maxOrigin bounds the name of a store, in bytes.
const maxOrigin = 64

// more is what headerMore holds: a key and headers with control characters and the like.
type more struct {
	Key     []byte      `json:"key,omitempty"`
	Headers [][2][]byte `json:"headers,omitempty"`
}

// source names the event of a message for good. Without an origin it is the message of
// another program.
type source struct {
	origin   string
	position uint64
}

// encode makes the message of an event that waits in the outbox of a target.
func encode(e *records.Event, subject, origin, target string) (*nats.Msg, error) {
	m := nats.NewMsg(subject)
	m.Data = e.Data
	var rest more
	for name, value := range e.Headers {
		own := name == records.HeaderPriority || name == records.HeaderDue
		if isReserved(name) && !own || !isToken(name) || !isPlain(value) {
			rest.Headers = append(rest.Headers, [2][]byte{[]byte(name), []byte(value)})
		} else {
			m.Header[name] = []string{value}
		}
	}
	switch {
	case e.Key == "":
	case isPlain(e.Key):
		m.Header[headerKey] = []string{e.Key}
	default:
		rest.Key = []byte(e.Key)
	}
	if rest.Key != nil || rest.Headers != nil {
		text, err := json.Marshal(rest)
		if err != nil {
			return nil, err
		}
		m.Header[headerMore] = []string{string(text)}
	}
	position := strconv.FormatUint(e.Position, 10)
	m.Header[headerTime] = []string{e.Time.UTC().Format(time.RFC3339Nano)}
	m.Header[headerOrigin] = []string{origin}
	m.Header[headerPosition] = []string{position}
	m.Header[nats.MsgIdHdr] = []string{origin + "/" + target + "/" + position}
	return m, nil
}

// decode makes the event of a message that was stored at a time. Messages of other
// programs need no header; a body that is not JSON becomes a JSON string.
func decode(header nats.Header, data []byte, stored time.Time) (*records.Event, source, error) {
	e := &records.Event{Time: stored.UTC(), Data: asJSON(data)}
	first := func(name string) string {
		if values := header[name]; len(values) > 0 {
			return values[0]
		}
		return ""
	}
	set := func(name, value string) {
		if e.Headers == nil {
			e.Headers = map[string]string{}
		}
		e.Headers[name] = value
	}
	for name, values := range header {
		if !isReserved(name) && len(values) > 0 {
			set(name, strings.Join(values, ", "))
		}
	}
	e.Key = first(headerKey)
	if text := first(headerMore); text != "" {
		var rest more
		if err := json.Unmarshal([]byte(text), &rest); err != nil {
			return nil, source{}, fmt.Errorf("header %s: %w", headerMore, err)
		}
		if rest.Key != nil {
			e.Key = string(rest.Key)
		}
		for _, h := range rest.Headers {
			set(string(h[0]), string(h[1]))
		}
	}
	if at, err := time.Parse(time.RFC3339Nano, first(headerTime)); err == nil && inRange(at) {
		e.Time = at.UTC()
	}
	from := source{origin: first(headerOrigin)}
	var err error
	if from.position, err = strconv.ParseUint(first(headerPosition), 10, 63); err != nil || from.position == 0 || len(from.origin) > maxOrigin {
		from = source{}
	}
	return e, from, nil
}

// asJSON returns data if it is JSON; else a JSON string that holds it, in base64 if it is
// no text.
func asJSON(data []byte) []byte {
	if json.Valid(data) {
		return data
	}
	text := string(data)
	if !utf8.Valid(data) {
		text = base64.StdEncoding.EncodeToString(data)
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		panic("jetstream: " + err.Error()) // every text can be a JSON string
	}
	return quoted
}

// apply gives a delivery the priority and the time at which it is due that the headers of
// its message say. What they cannot say is left out.
func apply(header nats.Header, d *records.Delivery) {
	if n, err := strconv.ParseUint(header.Get(records.HeaderPriority), 10, 8); err == nil {
		d.Priority = uint8(min(n, records.MaxPriority))
	}
	if due, err := time.Parse(time.RFC3339Nano, header.Get(records.HeaderDue)); err == nil && inRange(due) {
		d.NextAttempt = due.UTC()
	}
}

// inRange keeps times of other programs within what can be stored.
func inRange(t time.Time) bool { return t.Year() >= 1970 && t.Year() < 2200 }

func isReserved(name string) bool {
	for _, prefix := range reserved {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

// isToken reports whether name can be that of a header (RFC 9110, section 5.6.2).
func isToken(name string) bool {
	const others = "!#$%&'*+-.^_`|~"
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.ContainsRune(others, c)
	})
}

// isPlain reports whether value can be that of a header, and comes back as it is.
func isPlain(value string) bool {
	return value == strings.TrimSpace(value) && !strings.ContainsFunc(value, func(c rune) bool {
		return c < ' ' || c == 0x7f || c == utf8.RuneError
	})
}
