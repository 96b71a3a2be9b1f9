package auth_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perdure/perdure/auth"
)

// Each issuer vouches for its own tokens and not for those of the others, whatever a token says (mix-up, RFC 9207 1).
func TestIssuers(t *testing.T) {
	t.Parallel()
	one, two := pairs()["ES256"], pairs()["RS256"]
	first, second, third := newIssuer(t, "", one), newIssuer(t, "/", two), newIssuer(t, "", one)
	both := auth.Issuers(first.verifier(t), second.verifier(t))
	for _, tt := range []struct {
		name, header string
		want         string // the issuer
		err          string
	}{
		{"none", "", "", ""},
		{"of the first", "Bearer " + one.sign(at, first.claims()), first.name(), ""},
		{"of the second", "Bearer " + two.sign(at, second.claims()), second.name(), ""},
		{"of another", "Bearer " + one.sign(at, third.claims()), "", "whose tokens are not accepted"},
		{"by the first in the name of the second", "Bearer " + one.sign(at, second.claims()), "", "has no key"},
		{"the same under a name of the other key", "Bearer " + one.sign(with(at, "kid", two.kid), second.claims()), "", "not that of the key"},
		{"two issuers in one token", "Bearer " + one.sign(at, []byte(`{"iss":"`+second.name()+`","iss":"`+first.name()+`"}`)), "", "occurs twice"},
		{"huge", "Bearer " + strings.Repeat("x", 20<<10), "", "more than"},
		{"malformed", "Bearer x y", "", "does not have one token"},
		{"no token at all", "Bearer x", "", `the issuer ""`},
		{"not JSON", "Bearer a.a.a", "", `the issuer ""`},
		{"claims of other types", "Bearer a." + b64([]byte(`{"iss":7}`)) + ".a", "", `the issuer ""`},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if tt.header != "" {
			r.Header.Set("Authorization", tt.header)
		}
		p, err := both.Authenticate(r)
		if tt.err != "" {
			if !errors.Is(err, auth.ErrUnauthenticated) || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.err)
			}
		} else if err != nil || (p != nil) != (tt.want != "") || p != nil && p.Issuer != tt.want {
			t.Errorf("%s: got %v, %v", tt.name, p, err)
		}
	}
}
