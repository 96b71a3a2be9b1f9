package oidc

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"

	"github.com/perdure/perdure/identity/internal/directory"
)

// respond sends the browser back to the application. Each answer names its issuer, so that a client
// of several is not led to take a code to the wrong one (RFC 9207).
func (p *Provider) respond(w http.ResponseWriter, r *http.Request, req *directory.AuthRequest, values url.Values) {
	values.Set("iss", p.env.Issuer)
	if req.State != "" {
		values.Set("state", req.State)
	}
	if req.ResponseMode == "form_post" {
		p.formPost(w, req.RedirectURI, values)
		return
	}
	to, err := url.Parse(req.RedirectURI)
	if err != nil {
		p.faulty(w, r, err)
		return
	}
	// What the URI has in its query stays as it is (RFC 6749 section 3.1.2).
	if to.RawQuery != "" {
		to.RawQuery += "&"
	}
	to.RawQuery += values.Encode()
	// As http.Redirect, without its page: that has a link to the code.
	w.Header().Set("Location", to.String())
	w.WriteHeader(http.StatusSeeOther)
}

// submitScript sends the form of an answer. It is the only script of the package's pages, and allowed by
// its digest.
const submitScript = "document.forms[0].submit()"

// pagePolicy is the Content-Security-Policy of the package's pages. It has no form-action: browsers apply
// that also to where the answer to a form redirects, which here is the application.
const pagePolicy = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"

var postPolicy = func() string {
	digest := sha256.Sum256([]byte(submitScript))
	return "default-src 'none'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'; frame-ancestors 'none'; base-uri 'none'"
}()

var formPostPage = template.Must(template.New("form_post").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Back to the application</title></head><body>
<form method="post" action="{{.Action}}">
{{- range $name, $values := .Values}}{{range $values}}
<input type="hidden" name="{{$name}}" value="{{.}}">{{end}}{{end}}
<noscript><button>Continue</button></noscript>
</form>
<script>` + submitScript + `</script>
</body></html>
`))

// formPost answers by a form that posts itself (OAuth 2.0 Form Post Response Mode).
func (p *Provider) formPost(w http.ResponseWriter, to string, values url.Values) {
	w.Header().Set("Content-Security-Policy", postPolicy)
	// The URI is one of the application's, whatever its scheme is.
	p.page(w, http.StatusOK, formPostPage, map[string]any{"Action": template.URL(to), "Values": values}) //nolint:gosec // escaped as an attribute
}

// page writes a page.
func (p *Provider) page(w http.ResponseWriter, status int, t *template.Template, data any) {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		p.env.Log.Error("a page of the provider cannot be written", "page", t.Name(), "error", err)
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // who went away does not see it
}
