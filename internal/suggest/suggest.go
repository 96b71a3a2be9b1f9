// Package suggest finds the word that somebody meant.
package suggest

import (
	"fmt"
	"strings"
)

// far is the number of edits from which on two words are not taken for each other.
const far = 3

// maxWord bounds what is compared: longer texts are no misspelt names.
const maxWord = 256

// maxListed is how many of the known names a hint lists.
const maxListed = 12

// Nearest returns the one of the known names that a name is nearly: at most two edits away, without
// regard to case. Ties go to the first.
func Nearest(name string, known []string) (best string, ok bool) {
	if len(name) > maxWord {
		return "", false
	}
	distance := far
	for _, k := range known {
		if diff := len(k) - len(name); diff >= far || diff <= -far {
			continue
		}
		// A word of which more is wrong than right is another word.
		if d := Distance(strings.ToLower(name), strings.ToLower(k)); d < distance && (d == 0 || 2*d <= len(name)) {
			best, distance, ok = k, d, true
		}
	}
	return best, ok
}

// Hint returns the end of a message about a name that is not there: the one that was meant, or else
// those that there are.
func Hint(name string, known []string) string {
	if best, ok := Nearest(name, known); ok {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	switch {
	case len(known) == 0:
		return "; there is none"
	case len(known) > maxListed:
		return fmt.Sprintf("; there is %s and %d more", strings.Join(known[:maxListed], ", "), len(known)-maxListed)
	}
	return "; there is " + strings.Join(known, ", ")
}

// Distance counts the insertions, deletions and replacements of bytes between a and b, and the swaps of
// two neighbours (optimal string alignment).
func Distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			replace := last[j]
			if a[i] != b[j] {
				replace++
			}
			row[j+1] = min(replace, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
