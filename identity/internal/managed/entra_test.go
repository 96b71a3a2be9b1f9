package managed_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
	"github.com/perdure/perdure/identity/internal/managed"
)

// tenant are endpoints whose token endpoint answers as the test says.
func tenant(t *testing.T, token http.HandlerFunc) *managed.Endpoints {
	t.Helper()
	keys := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"keys":[]}`) })
	e, err := managed.New(directorytest.New(t).Env, managed.Options{
		Mint: func(context.Context, *directory.ManagedIdentity, string) (string, time.Time, error) {
			return "", time.Time{}, nil
		},
		Token: token, Keys: keys,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestTenantDiscovery(t *testing.T) {
	t.Parallel()
	e := tenant(t, nil)
	for _, host := range []string{"localhost:8080", "127.0.0.1:8080"} {
		r := httptest.NewRequest(http.MethodGet, managed.PathDiscovery+"?", nil)
		r.Host = host
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got["issuer"] != "http://"+host+"/" || got["token_endpoint"] != "http://"+host+managed.PathTenant || got["jwks_uri"] != "http://"+host+managed.PathKeys {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	for path, want := range map[string]int{managed.PathKeys: 200, "/default/other": 404} {
		w := httptest.NewRecorder()
		if e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil)); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	w := httptest.NewRecorder()
	if e.ServeHTTP(w, httptest.NewRequest(http.MethodPost, managed.PathDiscovery, nil)); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestTenantErrors(t *testing.T) {
	t.Parallel()
	var status int
	var answer string
	e := tenant(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Form.Get("grant_type") != "client_credentials" {
			t.Errorf("the token endpoint got %v, %v", r.Form, err)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	})
	send := func(request, body string) (*httptest.ResponseRecorder, map[string]any) {
		r := httptest.NewRequest(http.MethodPost, managed.PathTenant, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("client-request-id", request)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
		return w, got
	}
	const id = "6f1f0b7e-9f4a-4c3e-8d57-1c9a0f5d7a11"
	form := url.Values{"grant_type": {"client_credentials"}}
	for _, one := range []struct {
		answer   string
		asserted bool
		code     string
		number   float64
	}{
		{`{"error":"invalid_client","error_description":"no"}`, false, "invalid_client", 7000215},
		{`{"error":"invalid_client","error_description":"no"}`, true, "invalid_client", 700027},
		{`{"error":"access_denied","error_description":"no"}`, false, "access_denied", 500011},
		{`{"error":"invalid_target","error_description":"no"}`, false, "invalid_target", 500011},
		{`{"error":"invalid_scope","error_description":"no"}`, false, "invalid_scope", 70011},
		{`{"error":"unauthorized_client","error_description":"no"}`, false, "unauthorized_client", 700016},
		{`{"error":"unsupported_grant_type","error_description":"no"}`, false, "unsupported_grant_type", 70003},
		{`{"error":"invalid_grant","error_description":"no"}`, false, "invalid_grant", 70000},
		{`{"error":"invalid_request","error_description":"no"}`, false, "invalid_request", 900144},
		{`what`, false, "server_error", 90002},
	} {
		form.Del("client_assertion")
		if one.asserted {
			form.Set("client_assertion", "x.y.z")
		}
		status, answer = 400, one.answer
		w, got := send(id, form.Encode())
		numbers, _ := got["error_codes"].([]any)
		if w.Code != 400 || got["error"] != one.code || len(numbers) != 1 || numbers[0] != one.number || got["correlation_id"] != id || len(got["trace_id"].(string)) != 36 || got["timestamp"] != "2026-01-02 03:04:05Z" {
			t.Errorf("%s: %d %s", one.answer, w.Code, w.Body)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("the answer may be kept: %v", w.Header())
		}
	}
	if _, got := send("<script>", form.Encode()); len(got["correlation_id"].(string)) != 36 {
		t.Errorf("the id of a request is repeated whatever it is: %v", got)
	}
	status, answer = 200, `{"access_token":"x","expires_in":60,"scope":"read:orders"}`
	if w, got := send(id, form.Encode()); w.Code != 200 || got["access_token"] != "x" || got["expires_in"] != 60.0 || got["scope"] != nil {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w, got := send(id, form.Encode()+"&x="+strings.Repeat("x", 70<<10)); w.Code != http.StatusRequestEntityTooLarge || got["error"] != "invalid_request" {
		t.Errorf("a large request: %d %s", w.Code, w.Body)
	}
}
