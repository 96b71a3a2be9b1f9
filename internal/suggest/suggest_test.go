package suggest_test

import (
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/suggest"
)

func TestHint(t *testing.T) {
	t.Parallel()
	known := []string{"strip_path", "preserve_host", "paths", "hosts", "jwt"}
	for name, want := range map[string]string{
		"strip_pth":              `; did you mean "strip_path"?`,
		"StripPath":              `; did you mean "strip_path"?`,
		"path":                   `; did you mean "paths"?`,
		"jwtt":                   `; did you mean "jwt"?`,
		"acl":                    "; there is strip_path, preserve_host, paths, hosts, jwt", // three other letters are another word
		strings.Repeat("x", 300): "; there is strip_path, preserve_host, paths, hosts, jwt",
	} {
		if got := suggest.Hint(name, known); got != want {
			t.Errorf("Hint(%q) = %q, want %q", name, got, want)
		}
	}
	if got := suggest.Hint("a", nil); got != "; there is none" {
		t.Errorf("of none: %q", got)
	}
	many := strings.Fields("aaaa bbbb cccc dddd eeee ffff gggg hhhh iiii jjjj kkkk llll mmmm nnnn")
	if got := suggest.Hint("zzzz", many); !strings.HasSuffix(got, "llll and 2 more") {
		t.Errorf("of many: %q", got)
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"kitten", "sitting", 3}, {"jwt", "jwt", 0}, {"ab", "ba", 1}, {"wetaher", "weather", 1}, {"ca", "abc", 3}} {
		if got := suggest.Distance(c.a, c.b); got != c.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
