package directory_test

import (
	"net/http/httptest"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
)

func TestCookieName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ issuer, want string }{
		{"https://id.example/", "__Host-perdure_browser"},
		{"https://id.example:8443/", "__Host-perdure_browser"},
		{"http://localhost:8080/", "perdure_browser_8080"},
		{"http://localhost/", "perdure_browser"},
	} {
		if got := directory.BrowserCookieName(c.issuer); got != c.want {
			t.Errorf("cookie of %s: %q, want %q", c.issuer, got, c.want)
		}
	}
}

func TestBrowser(t *testing.T) {
	t.Parallel()
	const issuer = "https://id.example/"
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", issuer, nil)
	digest := directory.Browser(w, r, issuer)
	if !directory.CheckBrowser(r, issuer, digest) {
		t.Error("during its first request a browser is not itself")
	}
	cookies := w.Result().Cookies()
	if len(cookies) != 1 || !cookies[0].Secure || !cookies[0].HttpOnly {
		t.Fatalf("cookies %v, want one that is Secure and HttpOnly", cookies)
	}
	again := httptest.NewRequest("GET", issuer, nil)
	again.AddCookie(cookies[0])
	if !directory.CheckBrowser(again, issuer, digest) {
		t.Error("the browser that comes again is another one")
	}
	second := httptest.NewRecorder()
	directory.Browser(second, again, issuer)
	if len(second.Result().Cookies()) != 0 {
		t.Error("a browser that has a cookie gets another")
	}
	if directory.CheckBrowser(httptest.NewRequest("GET", issuer, nil), issuer, digest) {
		t.Error("a browser without a cookie passes")
	}
	if directory.CheckBrowser(again, issuer, nil) {
		t.Error("a request without a browser is everybody's")
	}
	other := httptest.NewRequest("GET", issuer, nil)
	other.AddCookie(directory.Cookie(issuer, "browser", "short"))
	if directory.BrowserValue(other, issuer) != "" {
		t.Error("a made-up cookie counts")
	}
}
