package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	t.Parallel()
	const (
		pass = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Elapsed":0.5}
`
		fail = `{"Action":"output","Package":"q","Test":"TestB","Output":"loud\n"}
{"Action":"fail","Package":"q","Test":"TestB"}
{"Action":"fail","Package":"q"}
`
		skip = `{"Action":"output","Package":"r","Test":"TestC","Output":"no browser\n"}
{"Action":"skip","Package":"r","Test":"TestC"}
{"Action":"pass","Package":"r"}
`
		noTests = `{"Action":"output","Package":"s","Output":"?   s [no test files]\n"}
{"Action":"skip","Package":"s"}
`
		build = `{"ImportPath":"u","Action":"build-output","Output":"u.go:1: undefined: x\n"}
{"ImportPath":"u","Action":"build-fail"}
{"Action":"fail","Package":"u","FailedBuild":"u"}
`
	)
	for _, c := range []struct {
		name, in, err string
		shows, hides  string
	}{
		{name: "all pass", in: pass, shows: "ok    p", hides: "quiet"},
		{name: "a package without tests is not a skip", in: noTests + pass, shows: "0 skipped"},
		{name: "a failure shows its output", in: pass + fail, err: "failed", shows: "loud"},
		{name: "a skip fails and shows why", in: pass + skip, err: "skipped", shows: "no browser"},
		{name: "a build failure", in: pass + build, err: "failed", shows: "undefined: x"},
		{name: "nothing ran", in: noTests, err: "no test ran"},
		{name: "a foreign line is shown", in: "go: cannot find main module\n", err: "no test ran", shows: "cannot find"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := report(strings.NewReader(c.in), &out)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want one with %q", err, c.err)
			}
			if !strings.Contains(out.String(), c.shows) {
				t.Errorf("output lacks %q:\n%s", c.shows, &out)
			}
			if c.hides != "" && strings.Contains(out.String(), c.hides) {
				t.Errorf("output shows %q:\n%s", c.hides, &out)
			}
		})
	}
}
