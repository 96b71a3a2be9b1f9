package live_test

import (
	"testing"

	"github.com/perdure/perdure/live"
)

func FuzzParsePlace(f *testing.F) {
	f.Add("0-0-0-0-0-0-0-0")
	f.Add("1-2-3-zz-3w5e11264sgsf-0-0-0")
	f.Add("1-2")
	f.Add("00-0-0-0-0-0-0-0")
	f.Fuzz(func(t *testing.T, id string) {
		if again, ok := live.ParsePlace(id); ok && again != id {
			t.Fatalf("%q is read as %q", id, again)
		}
	})
}
