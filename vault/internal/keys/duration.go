package keys

import (
	"errors"
	"time"
)

// duration is one of ISO 8601, section 5.5.2.2, as rotation policies have them: years and months have no fixed length, and so count from a day
// of the calendar.
type duration struct {
	months, days int
	seconds      int64
}

const (
	maxNumber   = 99_999_999                 // of one unit
	maxDuration = 100 * 366 * 24 * time.Hour // of all together, about a hundred years
)

var errDuration = errors.New(`want a duration of ISO 8601, such as "P90D", "P1Y6M" or "PT48H"`)

// The units of a duration, before and after its T, in the order they must have, each at most once.
const (
	dateUnits = "YMD"
	timeUnits = "HMS"
)

// parseDuration reads "PnYnMnDTnHnMnS", of which something must be there, or "PnW". It takes no fractions, no signs and no lower
// case, and nothing beyond a hundred years.
func parseDuration(s string) (duration, error) {
	var d duration
	if len(s) < 3 || len(s) > 64 || s[0] != 'P' {
		return d, errDuration
	}
	s = s[1:]
	if n, unit, rest, ok := cutNumber(s); ok && unit == 'W' && rest == "" {
		d.days = 7 * n
		return d, d.check()
	}
	left, inTime := dateUnits, false
	for s != "" {
		if s[0] == 'T' {
			if inTime || len(s) == 1 {
				return d, errDuration
			}
			left, inTime, s = timeUnits, true, s[1:]
		}
		n, unit, rest, ok := cutNumber(s)
		if !ok {
			return d, errDuration
		}
		at := 0
		for at < len(left) && left[at] != unit {
			at++
		}
		if at == len(left) {
			return d, errDuration
		}
		d.add(n, unit, inTime)
		left, s = left[at+1:], rest
	}
	return d, d.check()
}

func (d *duration) add(n int, unit byte, inTime bool) {
	switch {
	case unit == 'Y':
		d.months += 12 * n
	case unit == 'M' && !inTime:
		d.months += n
	case unit == 'D':
		d.days += n
	case unit == 'H':
		d.seconds += 3600 * int64(n)
	case unit == 'M':
		d.seconds += 60 * int64(n)
	case unit == 'S':
		d.seconds += int64(n)
	}
}

// check bounds the parts first, so that about cannot overflow.
func (d *duration) check() error {
	const years = 100
	if d.months > years*12 || d.days > years*366 || d.seconds > years*366*24*3600 || d.about() > maxDuration {
		return errDuration
	}
	return nil
}

// cutNumber takes a number and the letter behind it from the front.
func cutNumber(s string) (n int, unit byte, rest string, ok bool) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		if n = n*10 + int(s[i]-'0'); n > maxNumber {
			return 0, 0, "", false
		}
		i++
	}
	if i == 0 || i == len(s) {
		return 0, 0, "", false
	}
	return n, s[i], s[i+1:], true
}

// about is how long the duration is, with months of 30 days and years of 365.
func (d duration) about() time.Duration {
	days := d.months/12*365 + d.months%12*30 + d.days
	return time.Duration(days)*24*time.Hour + time.Duration(d.seconds)*time.Second
}

// after is when the duration is over that begins at t. A day that a month does not have is its last one.
func (d duration) after(t time.Time) time.Time { return shift(t, d.months, d.days, d.seconds) }

// before is when the duration begins that is over at t.
func (d duration) before(t time.Time) time.Time { return shift(t, -d.months, -d.days, -d.seconds) }

func shift(t time.Time, months, days int, seconds int64) time.Time {
	year, month, day := t.Date()
	first := time.Date(year, month+time.Month(months), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(day, last)-1+days).Add(time.Duration(seconds) * time.Second)
}
