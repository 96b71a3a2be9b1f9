// Package doctor says what is weak in a deployment: what it is called, and what can be seen of a data folder
// and of two environments from outside.
package doctor

import (
	"cmp"
	"slices"
)

// Severity is how much a finding matters.
type Severity string

// The severities, the least first.
const (
	Note     Severity = "note"     // worth to know
	Warning  Severity = "warning"  // to be mended before others rely on it
	Critical Severity = "critical" // who uses it gets in
)

var severities = []Severity{Note, Warning, Critical}

// Known reports whether s is one of the severities.
func (s Severity) Known() bool { return slices.Contains(severities, s) }

// AtLeast reports whether s matters as much as other.
func (s Severity) AtLeast(other Severity) bool {
	return slices.Index(severities, s) >= slices.Index(severities, other)
}

// Finding is something that is weak.
type Finding struct {
	// Check is the name of the kind of finding.
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	// Subject is what it is about: a file, an application. It may be empty.
	Subject string `json:"subject,omitempty"`
	// Reason says why it is weak, and Mend what to do about it.
	Reason string `json:"reason"`
	Mend   string `json:"mend"`
}

// Sort puts the findings that matter most first.
func Sort(all []Finding) {
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(severities, b.Severity), slices.Index(severities, a.Severity)),
			cmp.Compare(a.Check, b.Check), cmp.Compare(a.Subject, b.Subject))
	})
}
