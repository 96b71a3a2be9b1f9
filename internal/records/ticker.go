package records

import (
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/tuple"
)

// Ticker is what is known of a timer: up to where its ticks have been decided. It is
// written in the unit that publishes a tick, so each tick is published once.
type Ticker struct {
	// Schedule is the text of the schedule that Position belongs to.
	Schedule string
	// Position is the time up to which each tick has been published or passed over.
	Position time.Time
	// Last is the tick that was published last; zero before the first.
	Last time.Time
}

// tickerUpgrades has no step yet: format 1 is
//
//	schedule string, position time, last time
var tickerUpgrades upgrades

func tickerKey(name string) []byte {
	return tuple.AppendString(append(make([]byte, 0, 64), spaceTicker), name)
}

// GetTicker returns the record of a timer, or nil. That it is so is validated at commit:
// of two that publish the same tick, one does.
func GetTicker(u Unit, name string) (*Ticker, error) {
	value, err := u.Get(tickerKey(name))
	if err != nil || value == nil {
		return nil, err
	}
	body, err := tickerUpgrades.body(value)
	if err != nil {
		return nil, fmt.Errorf("timer %q: %w", name, err)
	}
	d := tuple.Decode(body)
	t := &Ticker{Schedule: d.String(), Position: d.Time(), Last: d.Time()}
	if err := d.Err(); err != nil {
		return nil, fmt.Errorf("records: timer %q: %w", name, err)
	}
	return t, nil
}

// PutTicker writes the record of a timer.
func PutTicker(u Unit, name string, t *Ticker) error {
	b := append(make([]byte, 0, 64), tickerUpgrades.current())
	b = tuple.AppendString(b, t.Schedule)
	b = tuple.AppendTime(b, t.Position)
	return u.Put(tickerKey(name), tuple.AppendTime(b, t.Last))
}
