package binding

import (
	"errors"
	"io"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Events is the body of an answer that goes on: events for an EventSource of a browser, in
// the format of server-sent events (WHATWG HTML, section 9.2). They are taken from the
// sequence after the unit has committed, each when it is there, until the sequence ends,
// the client leaves or the app stops. An error ends the stream and is logged. The sequence
// must end when the context of the function does.
type Events iter.Seq2[ServerSentEvent, error]

// ServerSentEvent is one of Events.
type ServerSentEvent struct {
	// ID, unless empty, is what a client that comes back sends as the header
	// Last-Event-ID.
	ID string
	// Event is the type of the event; a client takes an empty one as "message".
	Event string
	// Data is what the event says, in UTF-8; it may have several lines. An event
	// without Event and Data is not shown to the page, but its ID and Retry count.
	Data string
	// Retry, unless zero, is how long the client waits before it comes back, in whole
	// milliseconds.
	Retry time.Duration
	// Comment is passed over by clients.
	Comment string
}

// errLine: what must be one line of an event is not.
var errLine = errors.New("the ID and the type of a server-sent event have one line and no NUL")

// lines splits text where the format ends lines: at CR LF, LF and CR.
var lines = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// Append appends the event as it is sent.
func (e ServerSentEvent) Append(b []byte) ([]byte, error) {
	if strings.ContainsAny(e.ID, "\x00\r\n") || strings.ContainsAny(e.Event, "\x00\r\n") {
		return b, errLine
	}
	field := func(name, value string) {
		b = append(append(append(b, name...), ": "...), strings.ToValidUTF8(value, "\uFFFD")...)
		b = append(b, '\n')
	}
	each := func(name, text string) {
		for line := range strings.SplitSeq(lines.Replace(text), "\n") {
			field(name, line)
		}
	}
	if e.Comment != "" {
		each("", e.Comment)
	}
	if e.Retry > 0 {
		field("retry", strconv.FormatInt(e.Retry.Milliseconds(), 10))
	}
	if e.ID != "" {
		field("id", e.ID)
	}
	if e.Event != "" {
		field("event", e.Event)
	}
	if e.Event != "" || e.Data != "" {
		each("data", e.Data)
	}
	return append(b, '\n'), nil
}

var (
	eventsType = reflect.TypeFor[Events]()
	writerType = reflect.TypeFor[func(io.Writer) error]()
)
