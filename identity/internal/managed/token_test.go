package managed_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/managed"
)

// onLinux skips where the user of a connection cannot be found out.
func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	onLinux(t)
	w := newWorld(t, nil)
	w.begin(t, "Orders", w.other.ID)
	want := strconv.FormatInt(w.Now().Add(time.Hour).Unix(), 10)
	for query, client := range map[string]string{
		good:               w.identity.ClientID,
		good + "/.default": w.identity.ClientID,
		good + "&client_id=" + w.identity.ClientID:      w.identity.ClientID,
		good + "&client_id=" + w.other.ClientID:         w.other.ClientID,
		good + "&object_id=" + w.other.ID:               w.other.ClientID,
		good + "&principal_id=" + w.other.ID:            w.other.ClientID,
		good + "&mi_res_id=/x/userAssigned/Stock":       w.other.ClientID,
		good + "&mi_res_id=Orders&unknown=1&client_id=": w.identity.ClientID,
	} {
		got := w.ask(t, strings.Replace(query, api+"/.default", strings.TrimSuffix(api, "/")+"//.default", 1))
		if got.status != http.StatusOK || got.ClientID != client || got.TokenType != "Bearer" || got.Resource != api || got.ExpiresOn != want || !strings.HasPrefix(got.AccessToken, "token of ") {
			t.Errorf("%s: %d %+v", query, got.status, got)
		}
		if got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("the answer may be kept: %v", got.header)
		}
	}
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	onLinux(t)
	w := newWorld(t, nil)
	w.begin(t)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, one := range []struct {
		name, query string
		change      func(*http.Request)
		status      int
		message     string
	}{
		// CWE-918: what makes a server send requests does not get the header past a proxy unnoticed.
		{"forwarded", good, header("X-Forwarded-For", "127.0.0.1"), 403, "X-Forwarded-For"},
		{"forwarded, empty", good, header("X-Forwarded-For", ""), 403, "X-Forwarded-For"},
		{"forwarded, RFC 7239", good, header("Forwarded", "for=127.0.0.1"), 403, "Forwarded"},
		{"proxy", good, header("Via", "1.1 proxy"), 403, "Via"},
		{"web page", good, header("Origin", "http://evil.example"), 403, "Origin"},
		{"browser", good, header("Sec-Fetch-Site", "cross-site"), 403, "Sec-Fetch-Site"},
		{"method", good, func(r *http.Request) { r.Method = http.MethodPost }, 405, "GET"},
		{"no secret", good, func(r *http.Request) { r.Header.Del("X-IDENTITY-HEADER") }, 401, "X-IDENTITY-HEADER"},
		{"wrong secret", good, header("X-IDENTITY-HEADER", secret+"x"), 401, "X-IDENTITY-HEADER"},
		{"short secret", good, header("X-IDENTITY-HEADER", "x"), 401, "X-IDENTITY-HEADER"},
		{"long secret", good, header("X-IDENTITY-HEADER", strings.Repeat("x", 300)), 401, "X-IDENTITY-HEADER"},
		{"two secrets", good, func(r *http.Request) { r.Header.Add("X-IDENTITY-HEADER", secret) }, 401, "X-IDENTITY-HEADER"},
		{"version", "api-version=2017-09-01&resource=" + api, nil, 400, "api-version"},
		{"no resource", "api-version=2019-08-01", nil, 400, "resource"},
		{"long resource", "api-version=2019-08-01&resource=https://" + strings.Repeat("x", 300), nil, 400, "resource"},
		{"another resource", "api-version=2019-08-01&resource=https://other.example/", nil, 403, "may not have tokens"},
		{"resource twice", good + "&resource=x", nil, 400, "more than once"},
		{"two names", good + "&client_id=x&object_id=y", nil, 400, "one way"},
		{"unknown identity", good + "&client_id=x", nil, 400, "no such identity"},
		{"identity of others", good + "&client_id=" + w.other.ClientID, nil, 400, "no such identity"},
		{"object of others", good + "&object_id=" + w.other.ID, nil, 400, "no such identity"},
		{"name of others", good + "&mi_res_id=Stock", nil, 400, "no such identity"},
		{"query", good + "&%zz", nil, 400, "query"},
		{"long query", good + "&x=" + strings.Repeat("x", 5000), nil, 400, "query"},
	} {
		if one.change == nil {
			one.change = func(*http.Request) {}
		}
		w.Clock.Advance(managed.ForgiveEvery)
		w.ask(t, one.query, one.change).want(t, one.name, one.status, one.message)
	}
	if got := len(w.audited(t, directory.AuditTokenFailed)); got != 24 {
		t.Errorf("%d failures in the audit log, want 24", got)
	}
	if strings.Contains(w.log.String()+strings.Join(w.audited(t, directory.AuditTokenFailed), ""), secret) {
		t.Error("the secret is in a log")
	}
}

// Requests that others of the network send are refused, whatever they have.
func TestRemotePeer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(netip.AddrPort, netip.AddrPort) (int, error) { return os.Getuid(), nil })
	w.begin(t)
	for peer, want := range map[string]int{
		"192.0.2.1:1000": 403, "[2001:db8::1]:1000": 403, "[::ffff:192.0.2.1]:1000": 403, "": 403, "127.0.0.1": 403, "@": 403,
		"[::ffff:127.0.0.1]:1000": 200, "127.1.2.3:1000": 200, "[::1]:1": 200,
	} {
		r := httptest.NewRequest(http.MethodGet, managed.PathToken+"?"+good, nil)
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, w.server.Listener.Addr()))
		r.RemoteAddr = peer
		r.Header.Set("X-IDENTITY-HEADER", secret)
		rec := httptest.NewRecorder()
		w.endpoints.TokenHandler().ServeHTTP(rec, r)
		if rec.Code != want {
			t.Errorf("peer %q: %d, want %d", peer, rec.Code, want)
		}
	}
	r := httptest.NewRequest(http.MethodGet, managed.PathToken+"?"+good, nil) // not by a server
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("X-IDENTITY-HEADER", secret)
	rec := httptest.NewRecorder()
	w.endpoints.TokenHandler().ServeHTTP(rec, r)
	if rec.Code != http.StatusForbidden {
		t.Errorf("without a connection: %d", rec.Code)
	}
}

// The secret of a workload is worth nothing to another Unix user who has read it.
func TestOtherUser(t *testing.T) {
	t.Parallel()
	for name, peerOf := range map[string]func(local, peer netip.AddrPort) (int, error){
		"another user": func(netip.AddrPort, netip.AddrPort) (int, error) { return os.Getuid() + 1, nil },
		"unknown user": func(netip.AddrPort, netip.AddrPort) (int, error) { return os.Getuid(), errors.New("unknown") },
	} {
		w := newWorld(t, peerOf)
		w.begin(t)
		w.ask(t, good).want(t, name, 403, "another user")
		if details := w.audited(t, directory.AuditTokenFailed); len(details) != 1 || strings.Contains(w.log.String(), secret) {
			t.Errorf("%s: audit log %q, log %s", name, details, w.log)
		}
	}
}

// Failures beyond the bound are not written down, and do not hold up those who have the secret.
func TestManyFailures(t *testing.T) {
	t.Parallel()
	onLinux(t)
	w := newWorld(t, nil)
	w.begin(t)
	wrong := func(r *http.Request) { r.Header.Set("X-IDENTITY-HEADER", secret+"x") }
	for range managed.MaxFailures {
		w.ask(t, good, wrong).want(t, "wrong", 401, "")
	}
	for range 3 {
		got := w.ask(t, good, wrong)
		got.want(t, "too many", 429, "too many")
		if got.header.Get("Retry-After") == "" {
			t.Error("it does not say when to come again")
		}
	}
	if got := w.ask(t, good); got.status != http.StatusOK {
		t.Errorf("a good request: %d %s", got.status, got.Message)
	}
	if got := len(w.audited(t, directory.AuditTokenFailed)); got != managed.MaxFailures {
		t.Errorf("%d failures in the audit log, want %d", got, managed.MaxFailures)
	}
	w.Clock.Advance(managed.ForgiveEvery)
	w.ask(t, good, wrong).want(t, "later", 401, "")
	w.ask(t, good, wrong).want(t, "and again", 429, "")
}
