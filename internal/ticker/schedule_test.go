package ticker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/ticker"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func parse(t testing.TB, text string, z *time.Location) ticker.Schedule {
	t.Helper()
	s, err := ticker.Parse(text, z)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The clocks of Berlin skip 02:00 to 03:00 on 2026-03-29 and show it twice on
// 2026-10-25; those of Lord Howe Island move by half an hour, those of Havana at midnight.
func TestSchedules(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text, zone, after string
		want                    []string
	}{
		{"five fields", "30 2 * * *", "UTC", "2026-01-01T00:00:00Z", []string{"2026-01-01T02:30:00Z", "2026-01-02T02:30:00Z"}},
		{"with seconds", "*/20 0 0 1 1 *", "UTC", "2026-01-01T00:00:00Z", []string{"2026-01-01T00:00:20Z", "2026-01-01T00:00:40Z", "2027-01-01T00:00:00Z"}},
		{"strictly after", "* * * * *", "UTC", "2026-01-01T00:00:59.5Z", []string{"2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"}},
		{"hourly", "@hourly", "UTC", "2026-01-01T00:00:00Z", []string{"2026-01-01T01:00:00Z"}},
		{"daily in a zone", "@daily", "Europe/Berlin", "2026-01-01T00:00:00Z", []string{"2026-01-02T00:00:00+01:00"}},
		{"names of days", "0 9 * * MON-FRI", "UTC", "2026-01-02T09:00:00Z", []string{"2026-01-05T09:00:00Z"}},
		{"day of month or of week", "0 0 13 * FRI", "UTC", "2026-01-01T00:00:00Z", []string{"2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"}},
		{"leap day", "0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z"}},
		{"every", "@every 5s", "UTC", "2026-01-01T00:00:02Z", []string{"2026-01-01T00:00:05Z", "2026-01-01T00:00:10Z"}},
		{"every 7 s, whenever it is asked", "@every 7s", "UTC", "1970-01-01T00:00:08Z", []string{"1970-01-01T00:00:14Z"}},
		{"every, before 1970", "@every 7s", "UTC", "1969-12-31T23:59:52.5Z", []string{"1969-12-31T23:59:53Z", "1970-01-01T00:00:00Z"}},

		{"skipped: when the clock is moved", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"several that are skipped are one", "0,15,30 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-29T03:15:00+02:00"}},
		{"doubled: the first", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00+02:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		{"doubled, asked in the second", "30 2 * * *", "Europe/Berlin", "2026-10-25T02:10:00+01:00",
			[]string{"2026-10-26T02:30:00+01:00"}},
		{"each hour: none is skipped", "30 * * * *", "Europe/Berlin", "2026-03-29T00:45:00+01:00",
			[]string{"2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"}},
		{"each hour: both of a doubled one", "30 * * * *", "Europe/Berlin", "2026-10-25T02:00:00+02:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"}},
		{"each second goes on", "* * * * * *", "Europe/Berlin", "2026-03-29T01:59:58+01:00",
			[]string{"2026-03-29T01:59:59+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:00:01+02:00"}},
		{"half an hour is skipped", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00+10:30",
			[]string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"}},
		{"half an hour is doubled", "45 * * * *", "Australia/Lord_Howe", "2026-04-05T01:00:00+11:00",
			[]string{"2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30", "2026-04-05T02:45:00+10:30"}},
		{"a day without midnight", "@daily", "America/Havana", "2026-03-07T12:00:00-05:00",
			[]string{"2026-03-08T01:00:00-04:00", "2026-03-09T00:00:00-04:00"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := parse(t, test.text, zone(t, test.zone))
			at, err := time.Parse(time.RFC3339Nano, test.after)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if at = s.Next(at); at.Format(time.RFC3339Nano) != want {
					t.Errorf("%s: got %s, want %s", test.text, at.Format(time.RFC3339Nano), want)
				}
			}
		})
	}
}

func TestBadSchedules(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                         "want a cron expression",
		"* * * *":                  "want a cron expression",
		"* * * * * * *":            "want a cron expression",
		"60 * * * *":               "above maximum",
		"@reboot":                  "want a cron expression",
		"@every":                   "want a cron expression",
		"@every soon":              "want a duration of at least 1s",
		"@every -5s":               "want a duration of at least 1s",
		"@every 999ms":             "want a duration of at least 1s",
		"0 0 30 2 *":               "no such day",
		"TZ=UTC 0 0 * * *":         "give it by Zone",
		"CRON_TZ=0":                "give it by Zone",
		strings.Repeat("0,", 1000): "at most 256 bytes",
	} {
		if _, err := ticker.Parse(text, time.UTC); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
	}
}

// Whatever is parsed, ticks move on, and lie on full seconds of the zone's clock; asked
// between two ticks, the second is the answer.
func FuzzSchedule(f *testing.F) {
	for _, text := range []string{"* * * * * *", "@every 90m", "30 2 * * *", "0 0 29 2 *", "@monthly", "*/7 1-3 * * 0", "TZ=", "15 */6 1 * ?"} {
		f.Add(text, int64(1_774_742_400), "Europe/Berlin")
		f.Add(text, int64(1_792_886_400), "Australia/Lord_Howe")
	}
	f.Fuzz(func(t *testing.T, text string, unix int64, name string) {
		z, err := time.LoadLocation(name)
		if err != nil {
			return
		}
		s, err := ticker.Parse(text, z)
		if err != nil {
			return
		}
		at := time.Unix(unix%(1<<33), 0)
		for range 5 {
			next := s.Next(at)
			if next.IsZero() {
				return
			}
			if !next.After(at) || next.Nanosecond() != 0 && !strings.HasPrefix(text, "@every") {
				t.Fatalf("%q after %v: %v", text, at, next)
			}
			if between := s.Next(at.Add(next.Sub(at) / 2)); !between.Equal(next) {
				t.Fatalf("%q after %v is %v, but half way there %v", text, at, next, between)
			}
			at = next
		}
	})
}
