package pages_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure/identity/internal/people/pages"
)

func TestBranding(t *testing.T) {
	t.Parallel()
	css := filepath.Join(t.TempDir(), "own.css")
	if err := os.WriteFile(css, []byte("h1 { color: red }"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := pages.New(pages.Branding{Name: "Shop", LogoURL: "https://cdn.example/logo.svg", Color: "#ffcc00", CSSPath: css})
	if err != nil {
		t.Fatal(err)
	}
	body, err := p.Render("message", &pages.Page{Title: "Hello", Data: map[string]any{"Text": []string{"a & b"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<title>Hello – Shop</title>", `src="https://cdn.example/logo.svg"`, "a &amp; b"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the page lacks %s:\n%s", want, body)
		}
	}
	h := http.Header{}
	p.SetHeaders(h, "https://app.example")
	for _, want := range []string{"img-src 'self' data: https://cdn.example;", "form-action 'self' https://app.example;"} {
		if !strings.Contains(h.Get("Content-Security-Policy"), want) {
			t.Errorf("policy %q lacks %s", h.Get("Content-Security-Policy"), want)
		}
	}
	w := httptest.NewRecorder()
	p.ServeAsset(w, httptest.NewRequest(http.MethodGet, "/u/assets/brand.css", nil), "brand.css")
	if got := w.Body.String(); !strings.Contains(got, "--brand: #ffcc00; --on-brand: #000;") || !strings.Contains(got, "h1 { color: red }") {
		t.Errorf("brand.css is %q", got)
	}
	w = httptest.NewRecorder()
	p.ServeAsset(w, httptest.NewRequest(http.MethodGet, "/u/assets/x", nil), "../pages.go")
	if w.Code != http.StatusNotFound {
		t.Errorf("a file that is no asset: %d", w.Code)
	}
	if _, err := p.Render("nothing", &pages.Page{}); !errors.Is(err, pages.ErrUnknown) {
		t.Errorf("an unknown page: %v", err)
	}
}

func TestBadBranding(t *testing.T) {
	t.Parallel()
	for _, b := range []pages.Branding{
		{Color: "red"}, {Color: "#12345"}, {Color: "#fff; } body { display: none"},
		{LogoURL: "http://plain.example/x.png"}, {LogoURL: "javascript:alert(1)"}, {LogoURL: "//cdn.example/x"}, {LogoURL: "https://cdn.example; script-src *"},
		{LogoURL: "logo.png"}, {CSSPath: "/nothing/there.css"},
	} {
		if _, err := pages.New(b); err == nil {
			t.Errorf("%+v is accepted", b)
		}
	}
}

func TestFormTarget(t *testing.T) {
	t.Parallel()
	for redirect, want := range map[string]string{
		"https://app.example/callback?x=1":  "https://app.example",
		"http://localhost:3000/cb":          "http://localhost:3000",
		"http://[::1]:3000/cb":              "http:",
		"org.example.app:/callback":         "org.example.app:",
		"https://app.example; script-src *": "",
		"relative":                          "",
		"https://":                          "https:",
		"x_y:/callback":                     "",
	} {
		if got := pages.FormTarget(redirect); got != want {
			t.Errorf("target of %q: %q, want %q", redirect, got, want)
		}
	}
}

func FuzzFormTarget(f *testing.F) {
	f.Add("https://app.example/callback")
	f.Add("com.example:/x; script-src *")
	f.Fuzz(func(t *testing.T, redirect string) {
		if got := pages.FormTarget(redirect); strings.ContainsAny(got, " ;,'\"\r\n") {
			t.Errorf("target of %q: %q ends the directive", redirect, got)
		}
	})
}
