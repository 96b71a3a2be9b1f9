package oidc

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
)

// The pages look as those of the sign-in, whose style sheets they use.
const (
	pageHead = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title><link rel="stylesheet" href="/u/assets/style.css"><link rel="stylesheet" href="/u/assets/brand.css"></head>
<body><main class="card"><header><h1>{{.Title}}</h1></header>
`
	pageFoot = `</main></body></html>
`
)

var errorPage = template.Must(template.New("error").Parse(pageHead + `<p>{{.Text}}</p>
{{with .Address}}<p>The address: <code>{{.}}</code></p>
{{end}}` + pageFoot))

// unregistered tells that an application asks for answers at an address that is not registered for it. The page
// and the log name the address: most often a developer has just mistyped it, and sees only here what was sent.
func (p *Provider) unregistered(w http.ResponseWriter, r *http.Request, app *directory.Application, uri string) {
	if len(uri) > maxShownAddress {
		uri = strings.ToValidUTF8(uri[:maxShownAddress], "") + "…"
	}
	p.env.Log.InfoContext(r.Context(), "a redirect URI is not registered for the application: its callbacks have to have it, letter by letter",
		"client_id", app.ClientID, "redirect_uri", uri)
	p.page(w, http.StatusBadRequest, errorPage, map[string]string{
		"Title": "This did not work", "Address": uri,
		"Text": "The application that sent you here asks to be answered at an address that is not registered for it.",
	})
}

// maxShownAddress bounds what a stranger can write into the log and onto the page, in bytes.
const maxShownAddress = 300

// errorPage tells the user of an error that no application is told of.
func (p *Provider) errorPage(w http.ResponseWriter, status int, text string) {
	p.page(w, status, errorPage, map[string]string{"Title": "This did not work", "Text": text})
}

var consentPage = template.Must(template.New("consent").Parse(pageHead + `<p>{{.User}}, the application <strong>{{.App}}</strong> asks for:</p>
<ul>{{range .Scopes}}
<li>{{.}}</li>{{end}}
</ul>
<form method="post" action="{{.Action}}" class="stack">
<input type="hidden" name="id" value="{{.ID}}">
<button name="consent" value="allow" class="primary">Allow</button>
<button name="consent" value="deny" class="secondary">Do not allow</button>
</form>
` + pageFoot))

var logoutPage = template.Must(template.New("logout").Parse(pageHead + `<p>Do you want to sign out?</p>
<form method="post" action="{{.Action}}" class="stack">{{range $name, $value := .Hidden}}
<input type="hidden" name="{{$name}}" value="{{$value}}">{{end}}
<button class="primary">Sign out</button>
</form>
` + pageFoot))

var donePage = template.Must(template.New("done").Parse(pageHead + `<p>You are signed out.</p>
` + pageFoot))
