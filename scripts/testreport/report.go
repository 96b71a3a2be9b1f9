package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// event is a line of "go test -json" (go doc test2json), as far as it is used.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build output, in place of Package
	Test       string
	Output     string
	Elapsed    float64 // seconds
}

// suite is one package's run: the output of the tests that did not pass (yet),
// in order. The package's own output is under the empty name.
type suite struct {
	order  []string
	output map[string]*strings.Builder
	passed int
}

func (s *suite) write(test, text string) {
	b := s.output[test]
	if b == nil {
		b = new(strings.Builder)
		s.output[test] = b
		s.order = append(s.order, test)
	}
	b.WriteString(text)
}

func (s *suite) dump(w io.Writer) {
	for _, test := range s.order {
		if b := s.output[test]; b != nil {
			io.WriteString(w, b.String())
		}
	}
}

// tally counts what became of all packages.
type tally struct {
	passed  int
	failed  []string
	skipped []string
}

func report(r io.Reader, w io.Writer) error {
	var all tally
	suites := map[string]*suite{}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				_, _ = w.Write(line) // not test2json: a message of the go command
			} else {
				all.take(e, suites, w)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	return all.verdict(w)
}

func (t *tally) take(e event, suites map[string]*suite, w io.Writer) {
	switch e.Action {
	case "build-output":
		io.WriteString(w, e.Output)
		return
	case "build-fail":
		return // the package that does not build fails as well
	}
	s := suites[e.Package]
	if s == nil {
		s = &suite{output: map[string]*strings.Builder{}}
		suites[e.Package] = s
	}
	if e.Action == "output" {
		s.write(e.Test, e.Output)
		return
	}
	if e.Test != "" {
		t.takeTest(e, s)
		return
	}
	switch e.Action {
	case "pass":
		fmt.Fprintf(w, "ok    %-60s %4d tests %7.1f s\n", e.Package, s.passed, e.Elapsed)
	case "fail":
		fmt.Fprintf(w, "FAIL  %s\n", e.Package)
		s.dump(w)
		t.failed = append(t.failed, e.Package)
	case "skip": // a package without tests
	default:
		return
	}
	delete(suites, e.Package)
}

func (t *tally) takeTest(e event, s *suite) {
	switch e.Action {
	case "pass":
		s.passed++
		t.passed++
		delete(s.output, e.Test)
	case "fail":
		t.failed = append(t.failed, e.Package+" "+e.Test)
	case "skip":
		reason := ""
		if b := s.output[e.Test]; b != nil {
			reason = b.String()
		}
		t.skipped = append(t.skipped, e.Package+" "+e.Test+"\n"+reason)
		delete(s.output, e.Test)
	}
}

func (t *tally) verdict(w io.Writer) error {
	fmt.Fprintf(w, "%d tests passed, %d failed, %d skipped\n", t.passed, len(t.failed), len(t.skipped))
	for _, name := range t.failed {
		fmt.Fprintln(w, "failed:", name)
	}
	for _, name := range t.skipped {
		fmt.Fprintln(w, "skipped:", strings.TrimRight(name, "\n"))
	}
	switch {
	case len(t.failed) > 0:
		return errors.New("tests failed")
	case len(t.skipped) > 0:
		return errors.New("tests were skipped: this run must run all of them")
	case t.passed == 0:
		return errors.New("no test ran")
	}
	return nil
}
