package binding_test

import (
	"bufio"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/perdure/perdure/internal/binding"
)

// page is what an EventSource makes of a stream, as the standard tells it.
type page struct {
	messages []binding.ServerSentEvent
	lastID   string
	retry    time.Duration
}

func (p *page) read(stream string) {
	var event, data string
	hasData := false
	lines := bufio.NewScanner(strings.NewReader(stream))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && hasData:
			p.messages = append(p.messages, binding.ServerSentEvent{ID: p.lastID, Event: event, Data: strings.TrimSuffix(data, "\n")})
			fallthrough
		case line == "":
			event, data, hasData = "", "", false
		case name == "event":
			event = value
		case name == "data":
			data, hasData = data+value+"\n", true
		case name == "id" && !strings.Contains(value, "\x00"):
			p.lastID = value
		case name == "retry":
			if ms, err := strconv.ParseUint(value, 10, 31); err == nil {
				p.retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
}

func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		event binding.ServerSentEvent
		want  string
	}{
		{binding.ServerSentEvent{Data: "hello"}, "data: hello\n\n"},
		{binding.ServerSentEvent{ID: "7", Event: "count", Data: "1"}, "id: 7\nevent: count\ndata: 1\n\n"},
		{binding.ServerSentEvent{Data: "a\nb\r\nc\rd\n"}, "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"},
		{binding.ServerSentEvent{Data: " space"}, "data:  space\n\n"},
		{binding.ServerSentEvent{Event: "empty"}, "event: empty\ndata: \n\n"},
		{binding.ServerSentEvent{Retry: 1500 * time.Millisecond}, "retry: 1500\n\n"},
		{binding.ServerSentEvent{Comment: "still here"}, ": still here\n\n"},
		{binding.ServerSentEvent{ID: "9"}, "id: 9\n\n"},
		{binding.ServerSentEvent{Data: "\xff"}, "data: \uFFFD\n\n"},
	} {
		if got, err := test.event.Append(nil); string(got) != test.want || err != nil {
			t.Errorf("%+v: %q, %v, want %q", test.event, got, err, test.want)
		}
	}
	for _, event := range []binding.ServerSentEvent{{ID: "a\nb"}, {ID: "a\x00"}, {ID: "\r"}, {Event: "a\nb"}, {Event: "\r"}} {
		if _, err := event.Append(nil); err == nil {
			t.Errorf("%+v is sent", event)
		}
	}
}

// Whatever an event says, a page gets that one event and no other.
func FuzzServerSentEvent(f *testing.F) {
	f.Add("1", "count", "data: x\n\nid: 2", "comment\n\ndata: y", int64(3))
	f.Add("", "", "", "", int64(0))
	f.Fuzz(func(t *testing.T, id, event, data, comment string, retry int64) {
		e := binding.ServerSentEvent{ID: id, Event: event, Data: data, Comment: comment, Retry: time.Duration(retry)}
		b, err := e.Append(nil)
		if err != nil {
			return
		}
		if !utf8.Valid(b) {
			t.Fatalf("%+v is sent as %q", e, b)
		}
		valid := utf8.ValidString(id) && utf8.ValidString(event) && utf8.ValidString(data)
		var p page
		p.read(string(b))
		if event == "" && data == "" {
			if len(p.messages) != 0 {
				t.Fatalf("%+v became %+v", e, p.messages)
			}
			return
		}
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(data)
		if len(p.messages) != 1 || valid && (p.messages[0].Data != want || p.messages[0].Event != event || p.lastID != id) {
			t.Fatalf("%+v became %+v", e, p)
		}
	})
}
