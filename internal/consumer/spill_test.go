package consumer_test

import (
	"testing"

	"github.com/perdure/perdure/internal/consumer"
	"github.com/perdure/perdure/internal/delivery"
)

// What people mended of a dead letter is read without harm.
func FuzzUnspill(f *testing.F) {
	f.Add("stream/s", "1", "7", []byte(`{"a":1}`))
	f.Add("stream-batch/s", "1", "", []byte(`[{"position":1,"time":"2026-01-02T03:04:05Z","data":{"a":1}}]`))
	f.Add("stream-batch/s", "0", "", []byte(`[]`))
	f.Add("stream-batch/s", "x", "", []byte(`{`))
	f.Fuzz(func(t *testing.T, topic, partition, position string, event []byte) {
		events, err := consumer.Unspill(&delivery.Delivery{
			Topic: topic, Event: event, Lane: "k",
			Headers: map[string]string{"stream-partition": partition, "stream-position": position, "own": "header"},
		})
		if (err == nil) != (len(events) > 0) {
			t.Errorf("%d events, %v", len(events), err)
		}
		if len(events) == 1 && topic == "stream/s" && (len(events[0].Headers) != 1 || events[0].Key != "k") {
			t.Errorf("event %+v", events[0])
		}
	})
}
