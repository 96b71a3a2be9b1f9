package oidc

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
)

// pageStyle is the style of the package's pages; pageStyleDigest, which a test keeps right, allows it
// in the policy.
const (
	pageStyle       = `body{font:1rem/1.5 system-ui,sans-serif;max-width:30rem;margin:10vh auto;padding:0 1rem;color:#1b1b1b;background:#fff}button{font:inherit;padding:.5rem 1rem;margin:.5rem .5rem 0 0}`
	pageStyleDigest = "YUaYGPlvTniWLZAiOVqRoFThToVCgIKINdnwqQKcij8="
)

const (
	pageHead = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Title}}</title><style>` + pageStyle + `</style></head><body><main><h1>{{.Title}}</h1>
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
<form method="post" action="{{.Action}}">
<input type="hidden" name="id" value="{{.ID}}">
<button name="consent" value="allow">Allow</button>
<button name="consent" value="deny">Do not allow</button>
</form>
` + pageFoot))

var logoutPage = template.Must(template.New("logout").Parse(pageHead + `<p>Do you want to sign out?</p>
<form method="post" action="{{.Action}}">{{range $name, $value := .Hidden}}
<input type="hidden" name="{{$name}}" value="{{$value}}">{{end}}
<button>Sign out</button>
</form>
` + pageFoot))

var donePage = template.Must(template.New("done").Parse(pageHead + `<p>You are signed out.</p>
` + pageFoot))
