package main

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseDotenv(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		want       []variable
		wrong      string
	}{
		{"empty", "", nil, ""},
		{"plain", "A=1\nB_2 = two words \n", []variable{{"A", "1"}, {"B_2", "two words"}}, ""},
		{"comments", "# all\n\n  # of it\nA=1 # one\nB=#\nC=a#b\n", []variable{{"A", "1"}, {"B", ""}, {"C", "a#b"}}, ""},
		{"export", "export A=1\nexport\tB=2\nexported=3", []variable{{"A", "1"}, {"B", "2"}, {"exported", "3"}}, ""},
		{"single quotes", `A='a "b" \n $c' # x`, []variable{{"A", `a "b" \n $c`}}, ""},
		{"double quotes", `A="a\n\"b\" \$c \\d \q"`, []variable{{"A", "a\n\"b\" $c \\d \\q"}}, ""},
		{"several lines", "A=\"1\n2\"\nB='3\n\n4'\nC=5", []variable{{"A", "1\n2"}, {"B", "3\n\n4"}, {"C", "5"}}, ""},
		{"carriage returns", "\ufeffA=1\r\nB=2\r\n", []variable{{"A", "1"}, {"B", "2"}}, ""},
		{"equals signs", "A=b=c==", []variable{{"A", "b=c=="}}, ""},
		{"no value", "A=1\nwhat", nil, "line 2: want NAME=VALUE"},
		{"no name", "A=1\nA-B=2", nil, `line 2: "A-B" is no name`},
		{"twice", "A=1\nB=\"\n\"\nA=2", nil, "line 4: A is there twice"},
		{"open quotes", "A=\"hunter2", nil, "line 1: A: the quotes do not end"},
		{"behind quotes", "A=\"1\"2", nil, "line 1: A: something stands behind"},
		{"no text", "A=\xff", nil, "no text"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseDotenv(test.text)
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%v, want %q", err, test.wrong)
				}
			} else if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestParseJSONVariables(t *testing.T) {
	t.Parallel()
	got, err := parseJSONVariables([]byte(`{"a": "x\ny", "B_C": 17, "d": true, "e": 1e400}`))
	if want := []variable{{"a", "x\ny"}, {"B_C", "17"}, {"d", "true"}, {"e", "1e400"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	for _, text := range []string{`[]`, `{"a":{}}`, `{"a":null}`, `{"a":"b"`, `{"a":"b"}{}`, `{"a":"b","a":"c"}`, ``, `{"a":}`} {
		if got, err := parseJSONVariables([]byte(text)); err == nil {
			t.Errorf("%s: %q, want an error", text, got)
		}
	}
}

func FuzzParseDotenv(f *testing.F) {
	for _, text := range []string{"A=1 # b", "A=\"a\\n\n\"\nexport B='x'", "A=`\"$'"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseDotenv(text)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, v := range all {
			if !isVariable(v.name) || !utf8.ValidString(v.value) {
				t.Errorf("%q=%q", v.name, v.value)
			}
			again.WriteString(v.name + "=" + dotenvValue(v.value) + "\n")
		}
		if back, err := parseDotenv(again.String()); err != nil || !slices.Equal(back, all) {
			t.Errorf("%q became %q, %v", all, back, err)
		}
	})
}

func FuzzParseJSONVariables(f *testing.F) {
	f.Add([]byte(`{"a": "x\ny", "B_C": 17, "d": true}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parseJSONVariables(text)
		names := map[string]bool{}
		for _, v := range all {
			if names[v.name] || err != nil {
				t.Errorf("%q, %v", all, err)
			}
			names[v.name] = true
		}
	})
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"90d": "90d", "1d12h": "36h0m0s", "720h": "30d", "90m": "1h30m0s", "0d": "0s"} {
		d, err := parseSpan(text)
		if s := span(d); err != nil || s.String() != want {
			t.Errorf("%s: %s, %v, want %s", text, s.String(), err, want)
		}
	}
	for _, text := range []string{"", "d", "-1d", "1d-2h", "99999d", "x", "1", "1.5d", "-2h", "60000d2562047h"} {
		if d, err := parseSpan(text); err == nil {
			t.Errorf("%s: %v, want an error", text, d)
		}
	}
}
