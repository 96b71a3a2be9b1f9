package delivery_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/perdure/perdure/internal/delivery"
)

func TestReasonOf(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`invoice "17": no amount`:     `invoice "…": no amount`,
		"row 17 of 20: timeout":       "row # of #: timeout",
		strings.Repeat("é", 500):      strings.Repeat("é", 100),
		"x" + strings.Repeat("é", 99): "x" + strings.Repeat("é", 99),
	} {
		got := delivery.ReasonOf(&delivery.DeadLetter{Reason: in})
		if got != want || !utf8.ValidString(got) {
			t.Errorf("%.30s: got %q", in, got)
		}
	}
}
