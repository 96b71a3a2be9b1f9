package control_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/perdure/perdure/internal/control"
)

// Whatever a name is made of, it arrives as it was.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"a", ".", "..", "a/b", "%2F", "?x#y", "\x00\x1b", "ü", "a//b", "\xff", "+ "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name == "" {
			return // nothing is called so
		}
		var got string
		mux := http.NewServeMux()
		mux.HandleFunc("GET "+control.Prefix+"instances/{id}/history", func(_ http.ResponseWriter, r *http.Request) { got = r.PathValue("id") })
		r := httptest.NewRequest("GET", "http://perdure"+control.Prefix+control.Path("instances", name, "history"), nil)
		mux.ServeHTTP(httptest.NewRecorder(), r)
		if got != name {
			t.Errorf("%q arrived as %q", name, got)
		}
	})
}
