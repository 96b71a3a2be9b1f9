package ratelimit_test

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/jwt"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/plugin/ratelimit"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

func registry() *plugin.Registry { return plugin.NewRegistry(ratelimit.Kind(), jwt.Kind()) }

func config(settings string) string {
	return `
services:
- name: it
  host: upstream.test
  routes:
  - name: it
    paths: [/]
  plugins:
  - name: rate-limiting
    config: {` + settings + `}
`
}

func newGateway(t testing.TB, settings string) *plugintest.Gateway {
	t.Helper()
	return plugintest.New(t, registry(), config(settings))
}

// fields are header fields of an answer, in the order of the names.
func fields(r *plugintest.Response, names ...string) string {
	var values []string
	for _, n := range names {
		values = append(values, strings.Join(r.Header.Values(n), "+"))
	}
	return strings.Join(values, " ")
}

var draft = []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After"}

// The clock begins 20 seconds before the end of a minute.
func TestSixthRequestWithinTheMinute(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "minute: 5")
	for left := 4; left >= 0; left-- {
		r := g.Do("GET /")
		want := "5 " + string(rune('0'+left)) + " 5 " + string(rune('0'+left)) + " 20 "
		if got := fields(r, append([]string{"X-RateLimit-Limit-Minute", "X-RateLimit-Remaining-Minute"}, draft...)...); r.Status != 200 || got != want {
			t.Errorf("answered %d with %q, want %q", r.Status, got, want)
		}
	}
	g.Clock.Advance(5 * time.Second)
	for range 2 {
		r := g.Do("GET /")
		if got, want := fields(r, append([]string{"X-RateLimit-Limit-Minute", "X-RateLimit-Remaining-Minute"}, draft...)...), "5 0 5 0 15 15"; got != want {
			t.Errorf("the answer has %q, want %q", got, want)
		}
		var body struct {
			Message   string `json:"message"`
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(r.Body), &body); err != nil || body.Message != "API rate limit exceeded" || len(body.RequestID) != 32 {
			t.Errorf("the answer is %s: %v", r.Body, err)
		}
		if r.Status != http.StatusTooManyRequests || r.Upstream != nil || !r.Noted("rate-limiting: the address 127.0.0.1, since no consumer is known, had used 5 of 5 in this minute: the limit is reached; the minute ends in 15s, at 2026-05-17T10:31:00Z") {
			t.Errorf("answered %d, noted %q", r.Status, r.Notes)
		}
	}
	g.Clock.Advance(15 * time.Second) // the next minute begins, by the calendar
	if r := g.Do("GET /"); r.Status != 200 || fields(r, draft...) != "5 4 60 " {
		t.Errorf("answered %d with %q", r.Status, fields(r, draft...))
	}
}

func TestAnswerByAccept(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "minute: 1, error_code: 503, error_message: slow <down>")
	g.Do("GET /")
	for accept, want := range map[string][2]string{
		"":                                   {"application/json; charset=utf-8", `"message":"slow <down>"`},
		"text/html,application/xml;q=0.9":    {"text/html; charset=utf-8", "<p>slow &lt;down&gt;.</p>"},
		"application/xml":                    {"application/xml; charset=utf-8", "<message>slow &lt;down&gt;</message>"},
		"text/plain;q=0.5, image/png":        {"text/plain; charset=utf-8", "slow <down>\n"},
		"text/plain;q=0.5, application/json": {"application/json; charset=utf-8", `"message":"slow <down>"`},
		"*/*":                                {"application/json; charset=utf-8", `"message":"slow <down>"`},
		"image/png":                          {"application/json; charset=utf-8", `"message":"slow <down>"`},
	} {
		r := g.Do("GET /", "Accept: "+accept)
		if r.Status != 503 || r.Header.Get("Content-Type") != want[0] || !strings.Contains(r.Body, want[1]) {
			t.Errorf("%q: answered %d %s %s", accept, r.Status, r.Header.Get("Content-Type"), r.Body)
		}
	}
}

// Of several periods the tightest is told; of equal ones the longer. What is refused counts for none.
func TestSeveralPeriods(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "second: 2, minute: 3, year: 9")
	want := func(status int, want string) {
		t.Helper()
		r := g.Do("GET /")
		got := fields(r, append([]string{"X-RateLimit-Remaining-Second", "X-RateLimit-Remaining-Minute", "X-RateLimit-Remaining-Year"}, draft...)...)
		if r.Status != status || got != want {
			t.Errorf("answered %d with %q, want %d with %q", r.Status, got, status, want)
		}
	}
	want(200, "1 2 8 2 1 1 ")
	want(200, "0 1 7 2 0 1 ")
	want(429, "0 1 7 2 0 1 1")
	g.Clock.Advance(time.Second)
	want(200, "1 0 6 3 0 19 ")
	want(429, "1 0 6 3 0 19 19")
	g.Clock.Advance(19 * time.Second)
	want(200, "1 2 5 2 1 1 ")
	if r := newGateway(t, "minute: 2, hour: 2").Do("GET /"); fields(r, draft...) != "2 1 1760 " {
		t.Errorf("the answer has %q", fields(r, draft...))
	}
}

func TestPeriodsOfTheCalendar(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]time.Time{
		"second": plugintest.Start.Add(time.Second),
		"minute": time.Date(2026, 5, 17, 10, 31, 0, 0, time.UTC),
		"hour":   time.Date(2026, 5, 17, 11, 0, 0, 0, time.UTC),
		"day":    time.Date(2026, 5, 18, 0, 0, 0, 0, time.UTC),
		"month":  time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC),
		"year":   time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		c := chain(t, setting+": 1")
		for _, step := range []struct {
			at      time.Time
			refused bool
		}{{plugintest.Start, false}, {plugintest.Start, true}, {want.Add(-time.Nanosecond), true}, {want, false}, {want, true}} {
			x := &proxy.Exchange{Start: step.at, Client: netip.MustParseAddr("203.0.113.7")}
			x.Request = proxy.Request{Method: http.MethodGet, Path: "/", Fields: new(h1.Fields)}
			if c.Access[0].Access(x); x.Answered() != step.refused {
				t.Errorf("%s: at %v refused is %v", setting, step.at, x.Answered())
			}
		}
	}
}

func TestHideClientHeaders(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "minute: 1, hide_client_headers: true")
	for _, status := range []int{200, 429} {
		r := g.Do("GET /")
		if got := fields(r, append([]string{"X-RateLimit-Limit-Minute"}, draft...)...); r.Status != status || strings.TrimSpace(got) != "" {
			t.Errorf("answered %d with %q", r.Status, got)
		}
	}
}

func TestLimitBy(t *testing.T) {
	t.Parallel()
	a, b := "X-Forwarded-For: 203.0.113.1", "X-Forwarded-For: 203.0.113.2"
	for settings, requests := range map[string][][3]string{ // request, field, status
		"limit_by: ip":                         {{"/", a, "200"}, {"/", b, "200"}, {"/", a, "429"}, {"/x", b, "429"}},
		"limit_by: consumer":                   {{"/", a, "200"}, {"/", b, "200"}, {"/", a, "429"}},
		"limit_by: credential":                 {{"/", a, "200"}, {"/", b, "200"}, {"/", a, "429"}},
		"limit_by: service":                    {{"/", a, "200"}, {"/", b, "429"}},
		"limit_by: header, header_name: X-Who": {{"/", "X-Who: 1", "200"}, {"/", "X-Who: 2", "200"}, {"/", "x-who: 1", "429"}, {"/", a, "200"}, {"/", a, "429"}, {"/", "X-Who: ", "200"}},
		"limit_by: path, path: /x":             {{"/x", a, "200"}, {"/x", b, "429"}, {"/y", a, "200"}, {"/y", b, "200"}, {"/z", a, "429"}},
	} {
		g := newGateway(t, "hour: 1, "+settings)
		for i, q := range requests {
			if r := g.Do("GET "+q[0], q[1]); r.Header.Get("X-RateLimit-Limit-Hour") != "1" || q[2] != map[int]string{200: "200", 429: "429"}[r.Status] {
				t.Errorf("%s: request %d, %v: answered %d", settings, i, q, r.Status)
			}
		}
	}
}

// A consumer is counted wherever it comes from, and may have a limit of its own.
func TestConsumers(t *testing.T) {
	t.Parallel()
	g := plugintest.New(t, registry(), config("hour: 2")+`
  - name: jwt
    config: {key_claim_name: iss}
consumers:
- username: ann
  jwt_secrets: [{key: a, algorithm: HS256, secret: s}]
- username: bob
  jwt_secrets: [{key: b, algorithm: HS256, secret: s}]
  plugins:
  - name: rate-limiting
    config: {hour: 3}
`)
	for i, q := range []struct {
		token, from string
		status      int
		limit       string
	}{
		{token(t, "a"), "1.1.1.1", 200, "2"}, {token(t, "a"), "2.2.2.2", 200, "2"}, {token(t, "a"), "3.3.3.3", 429, "2"},
		{token(t, "b"), "1.1.1.1", 200, "3"}, {token(t, "b"), "1.1.1.1", 200, "3"}, {token(t, "b"), "1.1.1.1", 200, "3"}, {token(t, "b"), "1.1.1.1", 429, "3"},
	} {
		r := g.Do("GET /", "Authorization: Bearer "+q.token, "X-Forwarded-For: "+q.from)
		if r.Status != q.status || r.Header.Get("X-RateLimit-Limit-Hour") != q.limit {
			t.Errorf("request %d: answered %d with limit %s; %v", i, r.Status, r.Header.Get("X-RateLimit-Limit-Hour"), r.Notes)
		}
	}
}

// Counters outlive a reload; a plugin that was gone begins anew.
func TestReload(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "hour: 2")
	for i, status := range []int{200, 200, 429} {
		g.Load(config("hour: 2"))
		if r := g.Do("GET /"); r.Status != status {
			t.Errorf("request %d: answered %d", i, r.Status)
		}
	}
	g.Load(config("hour: 3"))
	if r := g.Do("GET /"); r.Status != 200 || r.Header.Get("RateLimit-Remaining") != "0" {
		t.Errorf("answered %d with %s left", r.Status, r.Header.Get("RateLimit-Remaining"))
	}
	g.Load(strings.Split(config(""), "  plugins:")[0])
	g.Load(config("hour: 2"))
	if r := g.Do("GET /"); r.Status != 200 || r.Header.Get("RateLimit-Remaining") != "1" {
		t.Errorf("answered %d with %s left", r.Status, r.Header.Get("RateLimit-Remaining"))
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{
		"limit_by: ip":                    "has no limit: set at least one of second, minute, hour, day, month, year",
		"minute: 0":                       "config.minute: 0 is not greater than 0",
		"minute: 5, hour: 4":              "config.hour: 4 is lower than the limit for a minute, 5",
		"second: 5, month: 4":             "config.month: 4 is lower than the limit for a second, 5",
		"minute: 5, policy: redis":        "config.policy: redis is not supported",
		"minute: 5, policy: cluster":      "warning: plugin \"rate-limiting\": config.policy: cluster counts like local",
		"minute: 5, policy: locl":         `config.policy: "locl" is none of the values; did you mean "local"?`,
		"minutes: 5":                      `config.minutes: there is no such setting; did you mean "minute"?`,
		"minute: 5, limit_by: header":     "config.header_name: is missing",
		"minute: 5, limit_by: path":       "config.path: is missing",
		"minute: 5, sync_rate: 1":         "config.sync_rate: can only be used with the policy redis",
		"minute: five":                    "config.minute: is text, and must be a number",
		"minute: 5, header_name: \"a b\"": `config.header_name: "a b" is no name of a header`,
	} {
		_, problems := plugintest.Compile(registry(), config(settings))
		found := false
		for _, p := range problems {
			found = found || strings.Contains(p.String(), want)
		}
		if !found {
			t.Errorf("{%s} has the problems %v, want %s", settings, problems, want)
		}
	}
	c, problems := plugintest.Compile(registry(), config("minute: 5, redis: {host: null, port: 6379}"))
	if c == nil || len(problems) > 0 {
		t.Fatalf("the problems are %v", problems)
	}
	if got := c.Plugins[0].Config; got["policy"] != "local" || got["error_code"] != 429.0 || got["limit_by"] != "consumer" || got["second"] != nil {
		t.Errorf("the settings are %v", got)
	}
}

// A dry run sees the counters, and counts for nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	c := chain(t, "hour: 1")
	ask := func(dry bool) bool {
		x := &proxy.Exchange{Start: plugintest.Start, Client: netip.MustParseAddr("203.0.113.7"), DryRun: dry}
		x.Request = proxy.Request{Method: http.MethodGet, Path: "/", Fields: new(h1.Fields)}
		c.Access[0].Access(x)
		return x.Answered()
	}
	for i, step := range []struct{ dry, refused bool }{{true, false}, {true, false}, {false, false}, {true, true}, {false, true}} {
		if got := ask(step.dry); got != step.refused {
			t.Errorf("step %d: refused is %v", i, got)
		}
	}
}
