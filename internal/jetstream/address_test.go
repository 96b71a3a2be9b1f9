package jetstream_test

import (
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/jetstream"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{ // the address as it is shown, or what the error says
		"nats://localhost":                                  "nats://localhost:4222/names?stream=names",
		"nats://user:secret@host:1/a.b?stream=S":            "nats://host:1/a.b?stream=S",
		"tls://secret@[::1]/a?creds=secret&ca=f&replicas=3": "tls://[::1]:4222/a?stream=names",
		"nats://h?max_age=24h&max_bytes=9&duplicates=10m":   "nats://h:4222/names?stream=names",
		"nats://h?ack_wait=30s":                             "nats://h:4222/names?stream=names",
		"nats://user:sec/ret@host":                          "this is no URL",
		"nats://user:secret%zz@host":                        "this is no URL",
		"nats:host":                                         "want nats://HOST",
		"http://host":                                       "want nats://HOST",
		"nats:///a":                                         "want nats://HOST",
		"nats://secret@h/a.*":                               `subject "a.*"`,
		"nats://h/a..b":                                     `subject "a..b"`,
		"nats://h/a%20b":                                    `subject "a b"`,
		"nats://h/$JS.API":                                  "do not begin with $",
		"nats://h?stream=a.b":                               `stream="a.b"`,
		"nats://h?stream=":                                  `stream=""`,
		"nats://h?replicas=7":                               `replicas="7"`,
		"nats://h?max_age=5":                                `max_age="5"`,
		"nats://h?max_bytes=-1":                             `max_bytes="-1"`,
		"nats://h?color=red":                                `no parameter "color"`,
		"nats://h?a=%zz":                                    "parameters cannot be read",
	} {
		a, err := jetstream.Parse(raw, "names")
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = a.String()
		}
		if !strings.Contains(got, want) || strings.Contains(got, "secret") {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("nats://user:password@host:4222/subject?stream=NAME")
	f.Add("tls://host?creds=/a&ca=/b&replicas=3&max_age=1h")
	f.Add("nats://::")
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := jetstream.Parse(raw, "names")
		if err != nil {
			return
		}
		again, err := jetstream.Parse(a.String(), "names")
		if err != nil || again.Stream != a.Stream || again.Subject != a.Subject {
			t.Errorf("%q became %q: %v", raw, a, err)
		}
	})
}
