package main

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// day is what "d" stands for in a span.
const day = 24 * time.Hour

// span is a duration in a flag. Days are written "90d".
type span time.Duration

var errSpan = errors.New("want a duration such as 90d or 720h")

// parseSpan reads "90d", "1d12h" and what time.ParseDuration does; negative ones are refused.
func parseSpan(text string) (time.Duration, error) {
	var d time.Duration
	if days, rest, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, errSpan
		}
		if d, text = time.Duration(n)*day, rest; text == "" {
			return d, nil
		}
	}
	more, err := time.ParseDuration(text)
	if err != nil || more < 0 || d+more < d {
		return 0, errSpan
	}
	return d + more, nil
}

// Set implements pflag.Value.
func (s *span) Set(text string) error {
	d, err := parseSpan(text)
	*s = span(d)
	return err
}

// String implements pflag.Value.
func (s *span) String() string {
	d := time.Duration(*s)
	if d > 0 && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return d.String()
}

// Type implements pflag.Value.
func (s *span) Type() string { return "duration" }

// instant is a point in time in a flag: as RFC 3339 has it, a day, or a span from now on. A span before now is
// meant when past is set.
type instant struct {
	time.Time
	past bool
}

// Set implements pflag.Value.
func (i *instant) Set(text string) error {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			i.Time = t.UTC()
			return nil
		}
	}
	d, err := parseSpan(text)
	if err != nil {
		return errors.New("want a time such as 2027-01-02T03:04:05Z or 2027-01-02, or a span such as 90d or 12h")
	}
	if i.past {
		d = -d
	}
	i.Time = time.Now().UTC().Add(d).Truncate(time.Second)
	return nil
}

// String implements pflag.Value.
func (i *instant) String() string { return moment(i.Time) }

// Type implements pflag.Value.
func (i *instant) Type() string { return "time" }

// unix is the time as the interface of a vault has it; nil for none.
func (i *instant) unix() *int64 {
	if i.IsZero() {
		return nil
	}
	s := i.Unix()
	return &s
}
