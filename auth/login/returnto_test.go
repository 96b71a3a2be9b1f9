package login_test

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/perdure/perdure/auth/login"
)

// notPlain are targets of open redirects (CWE-601), most of them from published by-passes.
var notPlain = []string{
	"", "//evil.example", "///evil.example", "////evil.example", `/\evil.example`, `\\evil.example`, `/\/evil.example`, `\/evil.example`,
	"https://evil.example", "https:evil.example", "https:/evil.example", "http:///evil.example", "HTTPS://evil.example", "javascript:alert(1)",
	"data:text/html,x", "evil.example", "@evil.example", ".evil.example", "?x", "#x", "/%2f%2fevil.example", "/%2F/evil.example", "/%5cevil.example",
	"/%5C/evil.example", "/%255cevil.example", "/%252f%252fevil.example", "/%25252f%25252fevil.example", "/.//evil.example", "/..//evil.example", "/x/..//evil.example",
	"/./\\evil.example", "/x//evil.example", "/%09/evil.example", "/\t/evil.example", "/\n/evil.example", "/%0d%0aLocation:%20https://evil.example", "/\r\nX: y",
	"/ /evil.example", " /evil.example", "\t//evil.example", "/\x00/evil.example", "/%00", "/a%0a", "/\u2028/x", "/\u3002evil.example", "/%2e%2e//evil.example", "/%2e/%2fevil.example",
	"/x/%2e%2e/%2fevil.example", "/a/../b", "/a/./b", "/%", "/%zz", "/a\\b", "/?a\\b", "/?a b", "/?\u00fc", "/\u00fc", "/" + strings.Repeat("a", 2000),
}

var plain = map[string]string{
	"/": "/", "/a": "/a", "/a/": "/a/", "/a/b?x=1": "/a/b?x=1", "/a?u=https://x//y": "/a?u=https://x//y", "/a%20b": "/a%20b", "/%C3%BC": "/%C3%BC",
	"/a:b@c": "/a:b@c", "/a#b": "/a", "/a?b#c": "/a?b", "/a;b=c": "/a;b=c", "/100%25": "/100%25", "/a%2Fb": "/a%2Fb", "/...": "/...", "/~a": "/~a",
	"/a?x=%0d%0a": "/a?x=%0d%0a",
}

func TestReturnTo(t *testing.T) {
	t.Parallel()
	for _, text := range notPlain {
		if got := login.SafePath(text); got != "/" {
			t.Errorf("SafePath(%q) = %q, want /", text, got)
		}
	}
	for text, want := range plain {
		if got := login.SafePath(text); got != want {
			t.Errorf("SafePath(%q) = %q, want %q", text, got, want)
		}
	}
}

// The whole way: nothing in return_to leads a browser away, or back into the login.
func TestOpenRedirect(t *testing.T) {
	t.Parallel()
	a := newApp(t, newIssuer(t), nil)
	targets := append([]string{"/login", "/logout", "/login?x=1", "/login/callback?state=x", "/log%69n"}, notPlain...)
	for _, target := range targets {
		b := newBrowser(t, a)
		got := b.step(b.authorize(b.step("/login?" + url.Values{"return_to": {target}}.Encode()).header.Get("Location")))
		if location := got.header.Get("Location"); got.status != 303 || location != a.URL+"/" {
			t.Errorf("return_to %q: %d to %q", target, got.status, location)
		}
	}
}

func FuzzReturnTo(f *testing.F) {
	for _, text := range notPlain {
		f.Add(text)
	}
	for text := range plain {
		f.Add(text)
	}
	base, err := url.Parse("https://app.example.com/login/callback")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := login.SafePath(text)
		if again := login.SafePath(got); again != got {
			t.Fatalf("%q → %q → %q: not stable", text, got, again)
		}
		if !strings.HasPrefix(got, "/") || strings.ContainsAny(got, "\\\r\n\t\x00 ") {
			t.Fatalf("%q → %q", text, got)
		}
		u, err := base.Parse(got)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme || u.User != nil {
			t.Fatalf("%q → %q leads to %v, %v", text, got, u, err)
		}
		// However often it is decoded, it stays a path of this origin.
		for p := u.EscapedPath(); ; {
			if strings.HasPrefix(p, "//") || strings.HasPrefix(p, `/\`) || strings.Contains(p, "//") || path.Clean(p) != strings.TrimSuffix(p, "/") && p != "/" {
				t.Fatalf("%q → %q is decoded to %q", text, got, p)
			}
			next, err := url.PathUnescape(p)
			if err != nil || next == p {
				break
			}
			p = next
		}
	})
}
