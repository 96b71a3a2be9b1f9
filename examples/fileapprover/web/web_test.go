package web_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/perdure/perdure/examples/fileapprover/web"
)

func get(t *testing.T, method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	web.Handler().ServeHTTP(w, r)
	return w
}

func TestHandler(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, path string
		status       int
		contentType  string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8"},
		{"HEAD", "/", 200, "text/html; charset=utf-8"},
		{"GET", "/assets/app.css", 200, "text/css; charset=utf-8"},
		{"GET", "/assets/app.js", 200, "text/javascript; charset=utf-8"},
		{"GET", "/assets/icon.svg", 200, "image/svg+xml"},
		{"POST", "/", 405, ""},
		{"GET", "/index.html", 404, ""},
		{"GET", "/assets/", 404, ""},
		{"GET", "/assets/../web.go", 404, ""},
		{"GET", "/api/files", 404, ""},
	} {
		r := get(t, c.method, c.path)
		if r.Code != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, r.Code, c.status)
		}
		if c.contentType == "" {
			continue
		}
		if got := r.Header().Get("Content-Type"); got != c.contentType {
			t.Errorf("%s %s: content type %q, want %q", c.method, c.path, got, c.contentType)
		}
		if got := r.Header().Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'self';") || strings.Contains(got, "unsafe") {
			t.Errorf("%s %s: policy %q", c.method, c.path, got)
		}
		if got := r.Header().Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s %s: X-Content-Type-Options %q", c.method, c.path, got)
		}
		if got := r.Header().Get("Content-Length"); got == "" || got == "0" {
			t.Errorf("%s %s: content length %q", c.method, c.path, got)
		}
	}
}

func TestHandlerRevalidates(t *testing.T) {
	t.Parallel()
	etag := get(t, "GET", "/").Header().Get("ETag")
	if r := get(t, "GET", "/", "If-None-Match", etag); r.Code != http.StatusNotModified {
		t.Errorf("status %d for the version the browser has, want 304", r.Code)
	}
	if r := get(t, "GET", "/", "If-None-Match", `"another"`); r.Code != http.StatusOK {
		t.Errorf("status %d for another version, want 200", r.Code)
	}
}

// Every part that a part names is there, and none comes from elsewhere.
func TestPartsAreComplete(t *testing.T) {
	t.Parallel()
	reference := regexp.MustCompile(`(?:src|href)="([^"#]+)"|from '\./([^']+)'`)
	seen := map[string]bool{}
	var visit func(path string)
	visit = func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		r := get(t, "GET", path)
		if r.Code != http.StatusOK {
			t.Errorf("%s: status %d", path, r.Code)
			return
		}
		for _, m := range reference.FindAllStringSubmatch(r.Body.String(), -1) {
			if m[1] != "" {
				visit("/" + strings.TrimPrefix(m[1], "/"))
			} else {
				visit("/assets/" + m[2])
			}
		}
	}
	visit("/")
	if len(seen) < 10 {
		t.Errorf("only %d parts were found: %v", len(seen), seen)
	}
}
