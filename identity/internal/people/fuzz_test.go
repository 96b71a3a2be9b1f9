package people_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Whatever a form or an address has in it, the answer is a page, not a failure of ours.
func FuzzForms(f *testing.F) {
	a := newApp(f)
	a.member(f, ada)
	for _, seed := range [][3]string{
		{"/u/login", "login=ada%40example.com&password=x", "state=x&next=/u/account"},
		{"/u/signup", "email=a%40b.example&password=correct+horse+battery&name=%00", ""},
		{"/u/reset", "email=ada%40example.com", "ticket=x"},
		{"/u/reset/password", "ticket=x&password=y", "ticket=%ff"},
		{"/u/verify", "ticket=x", "ticket=" + strings.Repeat("A", 43)},
		{"/u/second", "code=123456", ""},
		{"/u/recovery", "code=AAAA", ""},
		{"/u/passkey", "response=%7B%7D", ""},
		{"/u/device/decide", "user_code=X&decision=allow", "user_code=%25"},
		{"/u/account/sessions/revoke", "id=others", ""},
		{"/u/account/unlink", "connection=%00&subject=%00", ""},
		{"/u/connection/x", "", "link=x"},
		{"/u/callback/x", "", "state=x&code=y&iss=z"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, path, body, query string) {
		if !strings.HasPrefix(path, "/u/") || strings.ContainsAny(path, " ?#%") || !printable(path) || !printable(query) || strings.ContainsAny(query, " #") {
			return
		}
		b := a.browser(t)
		csrf := b.get("/u/login").forms["/u/login"].Get("csrf")
		b.get(path + "?" + query).mustBeOurs(t)
		r := httptest.NewRequest(http.MethodPost, path+"?"+query, strings.NewReader("csrf="+csrf+"&"+body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		b.do(r).mustBeOurs(t)
	})
}

func (p *page) mustBeOurs(t *testing.T) {
	t.Helper()
	if p.status >= http.StatusInternalServerError {
		t.Errorf("%s: status %d: %s", p.path, p.status, text(p.body))
	}
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// Calls have no session and no token.
func FuzzCalls(f *testing.F) {
	a := newApp(f)
	f.Add([]byte(`{"client_id":"x","connection":"y","email":"a@b.example","password":"z"}`))
	f.Add([]byte(`{"user_metadata":{"a":[{}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{"/dbconnections/signup", "/dbconnections/change_password"} {
			a.browser(t).do(httptest.NewRequest(http.MethodPost, path, strings.NewReader(string(body)))).mustBeOurs(t)
		}
	})
}
