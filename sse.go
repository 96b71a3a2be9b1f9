package perdure

import "github.com/perdure/perdure/internal/binding"

// Events is the body of an answer that goes on: events for an EventSource of a browser, in
// the format of server-sent events (WHATWG HTML, section 9.2). A field of Out of this type
// is tagged body. The events are taken from the sequence after the unit has committed,
// each when it is there, until the sequence ends, the client leaves or the app stops; the
// sequence must end when the context of the function does. An error breaks the stream off
// and is logged. A comment is sent after 15 seconds of silence. A client that comes back
// names the last ID it got, which a field tagged header:"Last-Event-ID" takes.
//
// The unit of the function has ended when the sequence runs. One that reads rows belongs
// to a function with NoUnit and uses App.Unit.
type Events = binding.Events

// ServerSentEvent is one of Events.
type ServerSentEvent = binding.ServerSentEvent
