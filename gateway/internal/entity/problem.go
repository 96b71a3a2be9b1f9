package entity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says how bad a problem is.
type Severity string

// The severities. A configuration with an error is not used.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Problem is something wrong with a configuration.
type Problem struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"`   // from 1; 0 is unknown
	Entity   string   `json:"entity,omitempty"` // route "demo"
	// Message says what is wrong and what would mend it. It has no secret in it.
	Message string `json:"message"`
}

// String is the problem in one line, as compilers write them.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	fmt.Fprintf(&b, "%s: ", p.Severity)
	if p.Entity != "" {
		b.WriteString(p.Entity + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Failed reports whether there is an error among problems.
func Failed(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == Error })
}

// MaxProblems is how many errors, and how many warnings, are kept of a file, and of what is wrong between
// files: who has more has enough to mend.
const MaxProblems = 500

// Bound appends a problem to a list, unless there are MaxProblems as bad already: then one says so. What is there already, as of a
// plugin that two services use, is not said again.
func Bound(problems []Problem, p Problem) []Problem {
	n := 0
	for i := range problems {
		if problems[i] == p {
			return problems
		}
		if problems[i].Severity == p.Severity {
			n++
		}
	}
	switch {
	case n < MaxProblems:
		return append(problems, p)
	case n == MaxProblems:
		return append(problems, Problem{Severity: p.Severity, File: p.File, Message: fmt.Sprintf("there are more than %d of them", MaxProblems)})
	}
	return problems
}

// SortProblems orders problems by file, line and text.
func SortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Entity+a.Message, b.Entity+b.Message))
	})
}

// report collects problems of entities.
type report struct{ problems []Problem }

func (r *report) add(s Severity, e Entity, field, format string, args ...any) {
	m := e.meta()
	message := fmt.Sprintf(format, args...)
	if field != "" {
		message = field + ": " + message
	}
	r.problems = Bound(r.problems, Problem{
		Severity: s, File: m.Source.File, Line: m.Source.At(field), Entity: Describe(e), Message: message,
	})
}

func (r *report) errorf(e Entity, field, format string, args ...any) {
	r.add(Error, e, field, format, args...)
}

func (r *report) warnf(e Entity, field, format string, args ...any) {
	r.add(Warning, e, field, format, args...)
}
