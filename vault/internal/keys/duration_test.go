package keys_test

import (
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/keys"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, from, after, before string }{
		{"P90D", "2026-01-31T10:00:00Z", "2026-05-01T10:00:00Z", "2025-11-02T10:00:00Z"},
		{"P1M", "2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z", "2025-12-31T10:00:00Z"},
		{"P1M", "2024-01-31T10:00:00Z", "2024-02-29T10:00:00Z", "2023-12-31T10:00:00Z"},
		{"P1Y", "2024-02-29T00:00:00Z", "2025-02-28T00:00:00Z", "2023-02-28T00:00:00Z"},
		{"P1Y10D", "2026-03-01T00:00:00Z", "2027-03-11T00:00:00Z", "2025-02-19T00:00:00Z"},
		{"P13M", "2026-12-31T00:00:00Z", "2028-01-31T00:00:00Z", "2025-11-30T00:00:00Z"},
		{"PT48H", "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z", "2025-12-30T00:00:00Z"},
		{"P2W", "2026-01-01T00:00:00Z", "2026-01-15T00:00:00Z", "2025-12-18T00:00:00Z"},
		{"P1Y2M3DT4H5M6S", "2026-01-01T00:00:00Z", "2027-03-04T04:05:06Z", "2024-10-28T19:54:54Z"},
		{"P0D", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"},
		{"PT1M", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", "2025-12-31T23:59:00Z"},
		{"P100Y", "2026-01-01T00:00:00Z", "2126-01-01T00:00:00Z", "1926-01-01T00:00:00Z"},
	} {
		d, err := keys.ParseDuration(test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		from := must[time.Time](t)(time.Parse(time.RFC3339, test.from))
		if got := keys.After(d, from).Format(time.RFC3339); got != test.after {
			t.Errorf("%s after %s: %s, want %s", test.text, test.from, got, test.after)
		}
		if got := keys.Before(d, from).Format(time.RFC3339); got != test.before {
			t.Errorf("%s before %s: %s, want %s", test.text, test.from, got, test.before)
		}
	}
	for _, text := range []string{
		"", "P", "PT", "90D", "P90", "PD", "p90D", "P90d", "-P90D", "P-90D", "+P1D", "P1.5D", "P1,5D", "P 1D", "P1D ", "P1DT", "P1H", "PT1D",
		"P1D1Y", "P1D1D", "P1W1D", "P1D1W", "PT1S1M", "P1YT1H1H", "PT1HT1M", "P1DT1HT", "P101Y", "P99999999D", "P999999999Y", "P99999999999999999999D",
		"P100Y1DT999999H", "PT99999999H", "P１D", "P1Y\x00",
	} {
		if d, err := keys.ParseDuration(text); err == nil {
			t.Errorf("%q is read as %+v", text, d)
		}
	}
}

func FuzzDuration(f *testing.F) {
	for _, text := range []string{"P90D", "P1Y2M3DT4H5M6S", "P2W", "PT48H", "P100Y", "P1D1D", "PT"} {
		f.Add(text)
	}
	from := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := keys.ParseDuration(text)
		if err != nil {
			return
		}
		if text[0] != 'P' || len(text) < 3 {
			t.Errorf("%q is read", text)
		}
		about := keys.About(d)
		if about < 0 || about > 100*366*24*time.Hour {
			t.Errorf("%q is about %v", text, about)
		}
		// Months differ from 30 days by 0.44 on average, and years from 365 by a quarter.
		slack := about/50 + 4*24*time.Hour
		if got := keys.After(d, from).Sub(from); got < about-slack || got > about+slack {
			t.Errorf("%q ends after %v, which should be about %v", text, got, about)
		}
		if got := from.Sub(keys.Before(d, from)); got < about-slack || got > about+slack {
			t.Errorf("%q begins %v before, which should be about %v", text, got, about)
		}
	})
}
