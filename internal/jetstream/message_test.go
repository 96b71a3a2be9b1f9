package jetstream_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"github.com/perdure/perdure/internal/jetstream"
	"github.com/perdure/perdure/internal/records"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// TestMessagesKeepEvents sends messages through the text that goes over the wire.
func TestMessagesKeepEvents(t *testing.T) {
	t.Parallel()
	names := rapid.OneOf(rapid.String(), rapid.StringMatching(`[A-Za-z-]{1,12}`), rapid.SampledFrom([]string{"Nats-Msg-Id", "perdure-key", "traceparent"}))
	values := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~]{0,12}`))
	rapid.Check(t, func(t *rapid.T) {
		want := &records.Event{
			Key:  values.Draw(t, "key"),
			Time: noon.Add(time.Duration(rapid.Int64Range(0, 1e18).Draw(t, "time"))),
			Data: []byte(`{"a":1}`),
		}
		if headers := rapid.MapOfN(names, values, 0, 4).Draw(t, "headers"); len(headers) > 0 {
			want.Headers = headers
		}
		sent := *want
		sent.Position = rapid.Uint64Range(1, 1<<40).Draw(t, "position")
		m, err := jetstream.Encode(&sent, "subject", "origin", "stream/names")
		if err != nil {
			t.Fatal(err)
		}
		header, err := nats.DecodeHeadersMsg(wire(m.Header))
		if err != nil {
			t.Fatalf("%v in %q", err, wire(m.Header))
		}
		got, origin, position, err := jetstream.Decode(header, m.Data, noon)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) || origin != "origin" || position != sent.Position {
			t.Errorf("got %+v of %s %d, want %+v", got, origin, position, want)
		}
	})
}

// wire returns headers as they are sent.
func wire(header nats.Header) []byte {
	b := []byte("NATS/1.0\r\n")
	for name, values := range header {
		for _, value := range values {
			b = fmt.Appendf(b, "%s: %s\r\n", name, value)
		}
	}
	return append(b, "\r\n"...)
}

func TestBodiesBecomeJSON(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"a":1}`: `{"a":1}`, `7`: `7`, ``: `""`, `a "word"`: `"a \"word\""`, "\xff\x00": `"/wA="`,
	} {
		e, origin, _, err := jetstream.Decode(nil, []byte(body), noon)
		if err != nil || string(e.Data) != want || origin != "" || !e.Time.Equal(noon) {
			t.Errorf("%q became %s of %q, %v", body, e.Data, origin, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("Perdure-Key", "k", "Perdure-More", `{"key":"aw=="}`, []byte(`{}`))
	f.Add("Perdure-Time", "2026-03-04T12:00:00Z", "Perdure-Position", "7", []byte("text"))
	f.Add("Perdure-Time", "9999-03-04T12:00:00Z", "Perdure-Position", "18446744073709551615", []byte{0xff})
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string, data []byte) {
		e, _, _, err := jetstream.Decode(nats.Header{name1: {value1}, name2: {value2}}, data, noon)
		if err == nil && !json.Valid(e.Data) {
			t.Errorf("%q is no JSON", e.Data)
		}
	})
}
