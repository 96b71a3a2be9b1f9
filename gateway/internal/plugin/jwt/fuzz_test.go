package jwt_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/plugin/jwt"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte(hs256(secret, claims{"iss": "issuer"})))
	f.Add([]byte("a.b.c"))
	f.Add([]byte("e30.e30."))
	f.Add([]byte(unsigned("RS256", claims{"crit": 1}, claims{}) + ".AA=="))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if jwt.Parse(raw) == "" && bytes.Count(raw, []byte(".")) != 2 {
			t.Errorf("%q was read", raw)
		}
	})
}

func FuzzBearer(f *testing.F) {
	f.Add("Bearer abc")
	f.Add(" bearer   x.y.z")
	f.Add("xbearer a bearer b")
	f.Fuzz(func(t *testing.T, value string) {
		got := string(jwt.Bearer([]byte(value)))
		if got != "" && (!strings.HasSuffix(value, got) || strings.HasPrefix(got, " ") || !strings.Contains(value, "earer")) {
			t.Errorf("Bearer(%q) = %q", value, got)
		}
	})
}
