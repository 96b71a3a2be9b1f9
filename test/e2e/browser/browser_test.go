package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perdure/perdure/test/e2e/browser"
)

// What the pages' tests trust: a page that breaks its security policy, throws
// or writes an error does not pass as quiet.
func TestComplaints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, html, want string }{
		{"quiet", `<p>fine</p>`, ""},
		{"inline script", `<script>document.title = "ran"</script>`, "Content Security Policy"},
		{"inline style", `<p style="color:red">red</p>`, "Content Security Policy"},
		{"error", `<script src="/error.js"></script>`, "spoken"},
		{"exception", `<script src="/throw.js"></script>`, "thrown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mux := http.NewServeMux()
			mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Security-Policy", "default-src 'self'")
				fmt.Fprint(w, `<!doctype html>`, c.html, `<i id="end"></i>`)
			})
			mux.HandleFunc("/error.js", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/javascript")
				fmt.Fprint(w, `console.error("spoken")`)
			})
			mux.HandleFunc("/throw.js", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/javascript")
				fmt.Fprint(w, `throw new Error("thrown")`)
			})
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			p := browser.Open(t, server.URL)
			p.Wait("the page", `document.getElementById("end")`)
			got := strings.Join(p.Complaints(), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("complaints %q, want %q", got, c.want)
			}
		})
	}
}
