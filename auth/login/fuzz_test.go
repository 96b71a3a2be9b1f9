package login_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/auth/login"
)

// fuzzLogin returns a login whose issuer refuses every code, and a sign-in under way: its state and cookie.
func fuzzLogin(f *testing.F) (l *login.Login, state string, cookie *http.Cookie) {
	f.Helper()
	var issuer *httptest.Server
	issuer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			refuse(w, "invalid_grant")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(strings.ReplaceAll(`{"issuer":"U","authorization_endpoint":"U/a","token_endpoint":"U/token","jwks_uri":"U/j"}`, "U", issuer.URL)))
	}))
	f.Cleanup(issuer.Close)
	now := time.Now()
	l, err := login.New(login.Config{
		Issuer: issuer.URL, ClientID: clientID, BaseURL: "https://app.example.com", Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
	})
	if err != nil {
		f.Fatal(err)
	}
	w := httptest.NewRecorder()
	l.ServeHTTP(w, httptest.NewRequest("GET", "https://app.example.com/login", nil))
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil || len(w.Result().Cookies()) != 1 {
		f.Fatal(w.Code, w.Body, err)
	}
	return l, to.Query().Get("state"), w.Result().Cookies()[0]
}

// Whatever comes as an answer of the issuer, it signs nobody in and is not shown as markup.
func FuzzCallback(f *testing.F) {
	l, state, cookie := fuzzLogin(f)
	for _, raw := range []string{
		"", "code=x", "code=x&iss=y", "error=access_denied&error_description=<b>", "error=%00&code=%ff", "code=a;b", "%zz", "code=x&code=y", "&&&=&",
		"iss=&error=\"><script>", "error_uri=javascript:x&error=a", strings.Repeat("a=b&", 100),
	} {
		f.Add(true, raw)
		f.Add(false, raw)
	}
	f.Fuzz(func(t *testing.T, good bool, raw string) {
		r := httptest.NewRequest("GET", "https://app.example.com/login/callback", nil)
		r.URL.RawQuery = raw
		if good {
			r.URL.RawQuery = "state=" + state + "&" + raw
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		l.ServeHTTP(w, r)
		if w.Code < 400 || w.Header().Get("Location") != "" {
			t.Fatalf("%q: %d to %q", raw, w.Code, w.Header().Get("Location"))
		}
		for _, c := range w.Result().Cookies() {
			if c.MaxAge >= 0 {
				t.Fatalf("%q: got a cookie %v", raw, c)
			}
		}
		if strings.Count(w.Body.String(), "<") != strings.Count(w.Body.String(), ">") || strings.Contains(w.Body.String(), "<script") || strings.Contains(w.Body.String(), "<b>") {
			t.Fatalf("%q: %s", raw, w.Body)
		}
	})
}

// Whatever comes as a cookie is no session and no sign-in, unless it is one that was given out.
func FuzzCookies(f *testing.F) {
	l, state, cookie := fuzzLogin(f)
	for _, value := range []string{"", "x", cookie.Value, cookie.Value[1:], cookie.Value + "A", strings.Repeat("A", 26), "a=b; c", "\x00", `"quoted"`} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		// The decoder passes over ends of lines, which no cookie has.
		if l.OpenPending(value) != (strings.NewReplacer("\r", "", "\n", "").Replace(value) == cookie.Value) {
			t.Fatalf("%q is a sign-in under way", value)
		}
		r := httptest.NewRequest("GET", "https://app.example.com/login/callback?code=x&state="+state, nil)
		r.Header.Set("Cookie", l.SessionCookie()+"="+value+"; "+l.PendingName(state)+"="+value)
		if p, err := l.Authenticate(r); p != nil || err != nil {
			t.Fatalf("%q: %v, %v", value, p, err)
		}
		w := httptest.NewRecorder()
		l.ServeHTTP(w, r)
		if w.Code < 400 {
			t.Fatalf("%q: %d", value, w.Code)
		}
		l.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "https://app.example.com/login", nil))
	})
}
