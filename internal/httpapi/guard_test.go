package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/httpapi"
)

func TestLocalHosts(t *testing.T) {
	t.Parallel()
	local := []string{"localhost:8080", "127.0.0.1:8080", "[::1]:8080"}
	for listen, want := range map[string][]string{
		"localhost:8080":       local,
		"127.0.0.1:8080":       local,
		"[::1]:8080":           local,
		"127.0.0.2:8080":       append(slices.Clone(local), "127.0.0.2:8080"),
		"192.0.2.1:80":         {"192.0.2.1:80"},
		"app.example.com:8443": {"app.example.com:8443"},
	} {
		got, err := httpapi.LocalHosts(listen)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", listen, got, err, want)
		}
	}
	for _, listen := range []string{":8080", "0.0.0.0:8080", "[::]:8080", "localhost"} {
		if got, err := httpapi.LocalHosts(listen); err == nil {
			t.Errorf("%s: got %q, want an error", listen, got)
		}
	}
}

func guarded(t *testing.T, g httpapi.Guard) http.Handler {
	t.Helper()
	h, err := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func through(h http.Handler, method, host string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", nil)
	r.Host = host
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// A page can point its own name at a loopback address, but not change the Host.
func TestForeignHost(t *testing.T) {
	t.Parallel()
	hosts, err := httpapi.LocalHosts("localhost:8080")
	if err != nil {
		t.Fatal(err)
	}
	h := guarded(t, httpapi.Guard{Hosts: append(hosts, "app.example.com")})
	for _, host := range []string{"localhost:8080", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "app.example.com", "app.example.com:443", "app.example.com:80"} {
		if w := through(h, "GET", host); w.Code != 204 {
			t.Errorf("%s: %d", host, w.Code)
		}
	}
	for _, host := range []string{"", "localhost", "localhost:8081", "evil.example:8080", "localhost.evil.example:8080", "localhost.:8080", "app.example.com:8080", "127.0.0.1:8080@evil", "[::1]"} {
		wantProblem(t, through(h, "GET", host), 421, "does not answer to the host")
	}
}

func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	h := guarded(t, httpapi.Guard{Hosts: []string{"localhost:8080"}, TrustedOrigins: []string{"https://admin.example.com"}})
	for name, tt := range map[string]struct {
		method  string
		headers []string
		allowed bool
	}{
		"no browser":         {"POST", nil, true},
		"own page":           {"POST", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://localhost:8080"}, true},
		"own page, old":      {"POST", []string{"Origin", "http://localhost:8080"}, true},
		"trusted":            {"POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://admin.example.com"}, true},
		"reading":            {"GET", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, true},
		"other site":         {"POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, false},
		"other site, old":    {"POST", []string{"Origin", "https://evil.example"}, false},
		"sandbox":            {"POST", []string{"Origin", "null"}, false},
		"other port":         {"POST", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://localhost:9090"}, false},
		"delete, other site": {"DELETE", []string{"Sec-Fetch-Site", "cross-site"}, false},
	} {
		w := through(h, tt.method, "localhost:8080", tt.headers...)
		switch {
		case tt.allowed && w.Code != 204:
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		case !tt.allowed:
			wantProblem(t, w, 403, "another site's page")
		}
	}
}

// The headers are on every answer, refusals too.
func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	h := guarded(t, httpapi.Guard{Hosts: []string{"localhost:8080"}})
	for _, host := range []string{"localhost:8080", "evil.example"} {
		got := through(h, "GET", host).Header()
		if got.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(got.Get("Content-Security-Policy"), "frame-ancestors 'none'") || got.Get("Referrer-Policy") == "" {
			t.Errorf("%s: headers %v", host, got)
		}
	}
}

func TestGuardMistakes(t *testing.T) {
	t.Parallel()
	for want, g := range map[string]httpapi.Guard{
		"no host is allowed":            {},
		`host "http://x" is not a name`: {Hosts: []string{"http://x"}},
		`host "*.example.com" is not`:   {Hosts: []string{"*.example.com"}},
		`trusted origin "example.com"`:  {Hosts: []string{"x"}, TrustedOrigins: []string{"example.com"}},
	} {
		if _, err := g.Handler(http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
