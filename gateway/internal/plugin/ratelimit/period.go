package ratelimit

import (
	"sync/atomic"
	"time"
)

// period is a span of time that a limit is for.
type period struct {
	setting          string
	seconds          int64 // as Kong reckons it: a month has 30 days
	limit, remaining string
}

// numPeriods is the number of periods.
const numPeriods = 6

var periods = [numPeriods]period{
	{"second", 1, "X-RateLimit-Limit-Second", "X-RateLimit-Remaining-Second"},
	{"minute", 60, "X-RateLimit-Limit-Minute", "X-RateLimit-Remaining-Minute"},
	{"hour", 60 * 60, "X-RateLimit-Limit-Hour", "X-RateLimit-Remaining-Hour"},
	{"day", 24 * 60 * 60, "X-RateLimit-Limit-Day", "X-RateLimit-Remaining-Day"},
	{"month", 30 * 24 * 60 * 60, "X-RateLimit-Limit-Month", "X-RateLimit-Remaining-Month"},
	{"year", 365 * 24 * 60 * 60, "X-RateLimit-Limit-Year", "X-RateLimit-Remaining-Year"},
}

// The indices of the periods that are of the calendar.
const (
	month = 4
	year  = 5
)

// windows are when the periods around a time began, in Unix seconds.
type windows [numPeriods]int64

// calendar is the month and the year around a time.
type calendar struct{ month, nextMonth, year int64 }

// calendars remembers the last one: it is the same for a month.
type calendars struct{ last atomic.Pointer[calendar] }

func (c *calendars) windowsAt(now int64) (w windows) {
	for i := range month {
		w[i] = now - now%periods[i].seconds
	}
	cal := c.last.Load()
	if cal == nil || now < cal.month || now >= cal.nextMonth {
		y, m, _ := time.Unix(now, 0).UTC().Date()
		cal = &calendar{
			month:     time.Date(y, m, 1, 0, 0, 0, 0, time.UTC).Unix(),
			nextMonth: time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC).Unix(),
			year:      time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC).Unix(),
		}
		c.last.Store(cal)
	}
	w[month], w[year] = cal.month, cal.year
	return w
}

// end is when a period ends, in Unix seconds.
func (w *windows) end(period int) int64 {
	begun := time.Unix(w[period], 0).UTC()
	switch period {
	case month:
		return begun.AddDate(0, 1, 0).Unix()
	case year:
		return begun.AddDate(1, 0, 0).Unix()
	}
	return w[period] + periods[period].seconds
}
