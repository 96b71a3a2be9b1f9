package ratelimit_test

import (
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/plugin/ratelimit"
)

// Who makes up values as long as a head may be does not fill the memory with them, and is counted by all of a value.
func TestLongIdentifiers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 16<<10)
	if longest := ratelimit.LongestName(long+"a", long+"b", "short"); longest > 64 {
		t.Errorf("a counter has a name of %d bytes", longest)
	}
	if !ratelimit.CountedApart(long+"a", long+"b") || ratelimit.CountedApart(long, long) || !ratelimit.CountedApart("a", "b") {
		t.Error("long values are not told apart by all of them")
	}
}
