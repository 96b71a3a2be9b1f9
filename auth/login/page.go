package login

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
)

const pageStyle = `body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}` +
	`a,button{font:inherit}button{padding:.5rem 1rem}@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}a{color:#9cf}}`

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>` + pageStyle + `</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
{{range .Text}}<p>{{.}}</p>
{{end}}{{with .Post}}<form method="post" action="{{.Href}}"><button type="submit">{{.Text}}</button></form>
{{end}}{{range .Links}}<p><a href="{{.Href}}">{{.Text}}</a></p>
{{end}}{{with .Reference}}<p><small>Reference: {{.}}</small></p>
{{end}}</main>
</body>
</html>
`))

// page is what a person is shown. Nothing on it can be markup or leave this origin.
type page struct {
	Title     string
	Text      []string
	Post      *pageLink // a form without fields
	Links     []pageLink
	Reference string // finds the log entry
	// formTo is another origin that the form's answer leads to.
	formTo string
}

type pageLink struct{ Href, Text string }

// write sends the page.
func (p page) write(w http.ResponseWriter, status int) {
	var body bytes.Buffer
	if err := pageTemplate.Execute(&body, p); err != nil {
		http.Error(w, "The page cannot be shown.", http.StatusInternalServerError)
		return
	}
	style := sha256.Sum256([]byte(pageStyle))
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", strings.Join([]string{
		"default-src 'none'", "style-src 'sha256-" + base64.StdEncoding.EncodeToString(style[:]) + "'",
		// Browsers apply form-action to where the answer redirects to, as well.
		strings.TrimSpace("form-action 'self' " + p.formTo), "base-uri 'none'", "frame-ancestors 'none'",
	}, "; "))
	h.Set("X-Content-Type-Options", "nosniff")
	secretPage(h)
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // the client is gone: nobody is left to tell
}

// secretPage keeps an answer out of caches, and its address out of the next request.
func secretPage(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
}
