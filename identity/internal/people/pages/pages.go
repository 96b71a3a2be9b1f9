// Package pages renders what people see of the provider: plain HTML that works without scripts,
// but for passkeys, which need one.
//
// Everything that is shown goes through html/template. Scripts and styles are files of their own,
// so that the policy of the pages allows no inline ones.
package pages

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
)

//go:embed html/*.html
var htmlFiles embed.FS

//go:embed static/*
var staticFiles embed.FS

// Branding is the look of the pages. The zero value is plain.
type Branding struct {
	// Name is that of the product, in titles and mails; default "Perdure".
	Name string
	// LogoURL is a path on the provider's host or an https URL of an image.
	LogoURL string
	// Color is that of buttons and links, as CSS writes it: "#0a5" or "#00aa55".
	Color string
	// CSSPath is a file with a style sheet that comes after that of the pages.
	CSSPath string
}

// Page is what a page shows. Pages that lead on have the CSRF token, and State and Next to
// go on with.
type Page struct {
	Title  string
	Error  string // what went wrong, at the top
	Notice string // what went well
	CSRF   string
	State  string // the id of a request to sign in
	Next   string // a path to go on to
	Script bool   // the page has passkeys
	Wide   bool
	Data   any
	Brand  Branding // set by Render
}

// Query is the query by which links between pages keep State and Next.
func (p *Page) Query() string { return p.QueryWith("", "") }

// QueryWith is Query with one more parameter.
func (p *Page) QueryWith(name, value string) string {
	q := url.Values{}
	if name != "" {
		q.Set(name, value)
	}
	if p.State != "" {
		q.Set("state", p.State)
	}
	if p.Next != "" {
		q.Set("next", p.Next)
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// Pages renders pages. It is safe for concurrent use.
type Pages struct {
	brand     Branding
	templates map[string]*template.Template
	static    map[string]asset
	imgSrc    string
}

type asset struct {
	kind string
	body []byte
}

var color = regexp.MustCompile(`^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$`)

// MaxCSS bounds the file of Branding.CSSPath, in bytes.
const MaxCSS = 1 << 20

// New returns pages with a look.
func New(brand Branding) (*Pages, error) {
	if brand.Name == "" {
		brand.Name = "Perdure"
	}
	p := &Pages{brand: brand, templates: map[string]*template.Template{}, static: map[string]asset{}, imgSrc: "'self' data:"}
	if err := p.setBrand(); err != nil {
		return nil, err
	}
	layout, err := template.ParseFS(htmlFiles, "html/layout.html")
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	files, err := fs.Glob(htmlFiles, "html/*.html")
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "html/"), ".html")
		if name == "layout" {
			continue
		}
		t, err := template.Must(layout.Clone()).ParseFS(htmlFiles, file)
		if err != nil {
			return nil, fmt.Errorf("pages: %w", err)
		}
		p.templates[name] = t
	}
	for name, kind := range map[string]string{"style.css": "text/css; charset=utf-8", "passkey.js": "text/javascript; charset=utf-8"} {
		body, err := staticFiles.ReadFile("static/" + name)
		if err != nil {
			return nil, fmt.Errorf("pages: %w", err)
		}
		p.static[name] = asset{kind, body}
	}
	return p, nil
}

// setBrand checks the look: what of it becomes part of a style sheet or a policy can only be what it
// should be.
func (p *Pages) setBrand() error {
	css := ""
	if c := p.brand.Color; c != "" {
		if !color.MatchString(c) {
			return fmt.Errorf("branding: color %q: want one such as #00aa55", c)
		}
		css = fmt.Sprintf(":root { --brand: %s; --on-brand: %s; }\n", c, readableOn(c))
	}
	if l := p.brand.LogoURL; l != "" {
		u, err := url.Parse(l)
		switch {
		case err != nil || strings.ContainsAny(l, " ;,\\'\""):
			return fmt.Errorf("branding: logo %q is no URL", l)
		case u.Scheme == "https" && u.Host != "" && u.User == nil:
			p.imgSrc += " https://" + u.Host
		case u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/"):
			return fmt.Errorf("branding: logo %q: want a path or an https URL", l)
		}
	}
	if p.brand.CSSPath != "" {
		info, err := os.Stat(p.brand.CSSPath)
		if err != nil {
			return fmt.Errorf("branding: style sheet: %w", err)
		}
		if info.Size() > MaxCSS {
			return fmt.Errorf("branding: style sheet %q has more than %d bytes", p.brand.CSSPath, MaxCSS)
		}
		file, err := os.ReadFile(p.brand.CSSPath)
		if err != nil {
			return fmt.Errorf("branding: style sheet: %w", err)
		}
		css += string(file)
	}
	p.static["brand.css"] = asset{"text/css; charset=utf-8", []byte(css)}
	return nil
}

// readableOn returns black or white, whichever is read better on a color (WCAG 2.2, relative
// luminance, roughly).
func readableOn(c string) string {
	c = c[1:]
	if len(c) == 3 {
		c = string([]byte{c[0], c[0], c[1], c[1], c[2], c[2]})
	}
	n, _ := strconv.ParseUint(c, 16, 32) // it has matched
	r, g, b := float64(n>>16), float64(n>>8&0xff), float64(n&0xff)
	if 0.299*r+0.587*g+0.114*b > 150 {
		return "#000"
	}
	return "#fff"
}

// Brand is the look.
func (p *Pages) Brand() Branding { return p.brand }

// ErrUnknown: there is no page of that name.
var ErrUnknown = errors.New("no such page")

// Render returns the HTML of a page.
func (p *Pages) Render(name string, page *Page) ([]byte, error) {
	t := p.templates[name]
	if t == nil {
		return nil, fmt.Errorf("%q: %w", name, ErrUnknown)
	}
	page.Brand = p.brand
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout", page); err != nil {
		return nil, fmt.Errorf("page %q: %w", name, err)
	}
	return b.Bytes(), nil
}

// SetHeaders sets the headers of a page. FormTargets are sources of the form-action directive besides
// the provider itself: where a form's answer redirects to, which browsers check as well.
func (p *Pages) SetHeaders(h http.Header, formTargets ...string) {
	targets := "'self'"
	for _, t := range formTargets {
		targets += " " + t
	}
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src "+p.imgSrc+
		"; form-action "+targets+"; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// FormTarget is the source of form-action for the origin of a URL. A host that a policy cannot name
// is named by its scheme.
func FormTarget(redirect string) string {
	u, err := url.Parse(redirect)
	if err != nil || u.Scheme == "" || strings.Trim(u.Scheme, "abcdefghijklmnopqrstuvwxyz0123456789+-.") != "" {
		return ""
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(strings.ToLower(u.Host), "abcdefghijklmnopqrstuvwxyz0123456789-.:") != "" {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}

// ServeAsset serves a style sheet or a script; name is that of the file.
func (p *Pages) ServeAsset(w http.ResponseWriter, r *http.Request, name string) {
	a, ok := p.static[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body)
	}
}
