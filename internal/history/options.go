package history

import (
	"encoding/json"
	"time"
)

// CallOptions is the policy of one call of an activity, step or child, as history
// keeps it. Durations are in nanoseconds; zero means none or the default.
type CallOptions struct {
	// Attempts is how often it may run in all.
	Attempts uint32 `json:"attempts,omitempty"`
	// Initial is the wait before the second attempt; each further one is
	// Multiplier times as long, up to Max.
	Initial    time.Duration `json:"initial,omitempty"`
	Max        time.Duration `json:"max,omitempty"`
	Multiplier float64       `json:"multiplier,omitempty"`
	// StartToClose bounds one attempt.
	StartToClose time.Duration `json:"startToClose,omitempty"`
	// ScheduleToStart bounds the wait for the first attempt.
	ScheduleToStart time.Duration `json:"scheduleToStart,omitempty"`
	// Heartbeat bounds the time between two heartbeats.
	Heartbeat time.Duration `json:"heartbeat,omitempty"`
	// Tags are a child's.
	Tags map[string]string `json:"tags,omitempty"`
}

// Encode returns the options for Event.Options; nil for none.
func (o *CallOptions) Encode() []byte {
	if o.Attempts == 0 && o.Initial == 0 && o.Max == 0 && o.Multiplier == 0 && len(o.Tags) == 0 &&
		o.StartToClose == 0 && o.ScheduleToStart == 0 && o.Heartbeat == 0 {
		return nil // as most calls
	}
	b, err := json.Marshal(o)
	if err != nil || string(b) == "{}" { // a NaN multiplier is the only cause, and means the default
		return nil
	}
	return b
}

// DecodeCallOptions is the inverse of Encode.
func DecodeCallOptions(b []byte) (CallOptions, error) {
	if len(b) == 0 {
		return CallOptions{}, nil
	}
	var o CallOptions
	err := json.Unmarshal(b, &o)
	return o, err
}

// Backoff returns the wait after the given number of failed attempts.
func (o *CallOptions) Backoff(failed uint32) time.Duration {
	initial, limit, factor := o.Initial, o.Max, o.Multiplier
	if initial <= 0 {
		initial = time.Second
	}
	if limit <= 0 {
		limit = 100 * initial
	}
	if !(factor >= 1) {
		factor = 2
	}
	wait := float64(initial)
	for ; failed > 1 && wait < float64(limit); failed-- {
		wait *= factor
	}
	return min(time.Duration(wait), limit)
}
