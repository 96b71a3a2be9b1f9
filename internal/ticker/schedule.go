package ticker

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a zone is known on machines without a database of zones

	"github.com/robfig/cron/v3"
)

// MinEvery is the least time between two ticks of "@every".
const MinEvery = time.Second

// maxSchedule bounds the text of a schedule, in bytes.
const maxSchedule = 256

// Schedule says when a timer ticks.
type Schedule struct {
	text string
	zone *time.Location
	next func(after time.Time) time.Time
}

// String returns the text that the schedule was made of, with its zone.
func (s Schedule) String() string { return s.text }

// Next returns the first tick after a time, in the zone of the schedule; the zero time
// if there is none in the next five years.
func (s Schedule) Next(after time.Time) time.Time { return s.next(after) }

var cronParser = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// Parse reads a schedule: a cron expression of five fields (minute, hour, day of month,
// month, day of week) or, with seconds before them, six; "@hourly" and its like; or
// "@every 5s". Zone is where its hours and days are those of the clock on the wall.
func Parse(text string, zone *time.Location) (Schedule, error) {
	s := Schedule{text: text + " " + zone.String(), zone: zone}
	switch {
	case len(text) > maxSchedule:
		return s, fmt.Errorf("a schedule has at most %d bytes", maxSchedule)
	case strings.HasPrefix(text, "TZ="), strings.HasPrefix(text, "CRON_TZ="):
		return s, errors.New("a schedule has no zone in its text; give it by Zone")
	}
	if every, ok := strings.CutPrefix(text, "@every "); ok {
		return s, s.parseEvery(every)
	}
	parsed, err := cronParser.Parse(text)
	if err != nil {
		return s, fmt.Errorf("%w; want a cron expression such as \"0 30 2 * * *\" (second, minute, hour, day of month, month, day of week; the second may be missing), @hourly, @daily, @weekly, @monthly, @yearly or \"@every 5s\"", err)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return s, fmt.Errorf("%q is no schedule", text)
	}
	spec.Location = time.UTC
	s.next = wallClock{spec, zone}.atHours
	if everyHour(spec) {
		s.next = wallClock{spec, zone}.eachHour
	}
	if s.next(time.Unix(0, 0)).IsZero() {
		return s, errors.New("there is no such day")
	}
	return s, nil
}

// parseEvery reads the duration of "@every". Its ticks are counted from 1970, so that a
// restart does not move them.
func (s *Schedule) parseEvery(text string) error {
	every, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil || every < MinEvery {
		return fmt.Errorf("@every %q: want a duration of at least %v, such as 5s or 1h30m", text, MinEvery)
	}
	zone := s.zone
	s.next = func(after time.Time) time.Time {
		epoch := time.Unix(0, 0)
		since := after.Sub(epoch)
		n := since / every
		if since < 0 && since%every != 0 {
			n--
		}
		return epoch.Add((n + 1) * every).In(zone)
	}
	return nil
}

// everyHour reports whether a schedule has ticks in each hour.
func everyHour(spec *cron.SpecSchedule) bool {
	const all = 1<<24 - 1
	return spec.Hour&all == all
}

// wallClock is a cron expression on the clock of a zone. The expression itself is worked
// out in UTC, where no hour is skipped or doubled; what the zone does to it is here.
type wallClock struct {
	spec *cron.SpecSchedule
	zone *time.Location
}

// shown returns what the clock on the wall shows at t, as a time of UTC.
func (w wallClock) shown(t time.Time, offset int) time.Time {
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// eachHour is Next of an expression that has ticks in each hour: these follow the time
// that passes. A skipped hour has none, of a doubled hour both have theirs.
func (w wallClock) eachHour(after time.Time) time.Time {
	from := after.In(w.zone)
	_, offset := from.Zone()
	_, end := from.ZoneBounds()
	for {
		next := w.spec.Next(w.shown(from, offset))
		if next.IsZero() {
			return next
		}
		next = next.Add(-time.Duration(offset) * time.Second).In(w.zone)
		if end.IsZero() || next.Before(end) {
			return next
		}
		// The clock is moved before: go on from there, with what it shows then.
		from = end.Add(-1)
		_, offset = end.Zone()
		_, end = end.ZoneBounds()
	}
}

// atHours is Next of an expression that names hours: each of its times of day happens
// once. One that the clock skips is when the clock is moved; of one that it shows twice
// it is the first.
func (w wallClock) atHours(after time.Time) time.Time {
	_, offset := after.In(w.zone).Zone()
	for wall := w.shown(after, offset); ; {
		if wall = w.spec.Next(wall); wall.IsZero() {
			return wall
		}
		if t := w.first(wall); t.After(after) {
			return t
		}
	}
}

// first returns when the clock shows, or skips, a time of the wall for the first time.
func (w wallClock) first(wall time.Time) time.Time {
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, w.zone)
	start, end := t.ZoneBounds()
	_, offset := t.Zone()
	switch shows := w.shown(t, offset); {
	case shows.After(wall): // skipped, and t is reckoned from before
		return start
	case shows.Before(wall):
		return end
	}
	if start.IsZero() {
		return t
	}
	_, before := start.Add(-1).Zone()
	if earlier := wall.Add(-time.Duration(before) * time.Second); earlier.Before(start) {
		return earlier.In(w.zone)
	}
	return t
}
