package main

import (
	"encoding/json"
	"html/template"
	"log"
	"net/http"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/auth/login"
)

var pages = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<h1>{{.Title}}</h1>
<p>Signed in as {{.Name}}. <a href="/">Claims</a> · <a href="/profile">Profile</a> · <a href="/logout">Sign out</a></p>
{{range .Parts}}<h2>{{.Heading}}</h2>
<pre>{{.JSON}}</pre>
{{end}}</html>
`))

type page struct {
	Title, Name string
	Parts       []part
}

type part struct{ Heading, JSON string }

// claimsPage shows the claims of both tokens to the person whom they are about.
func claimsPage(l *login.Login) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := l.Session(r)
		if err != nil {
			auth.RefuseCredentials(w, r, err)
			return
		}
		show(w, page{"Your claims", s.Principal.Name, []part{
			{"ID token", pretty(s.IDClaims)}, {"Access token", pretty(s.Principal.Claims)},
		}})
	})
}

// profilePage shows what the issuer knows of the person.
func profilePage(m *management) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := auth.From(r.Context())
		// The subject is the session's, never the request's: nobody reads another's profile.
		user, err := m.user(r.Context(), who.Subject)
		if err != nil {
			log.Print(err)
			http.Error(w, "The profile cannot be read.", http.StatusBadGateway)
			return
		}
		show(w, page{"Your profile", who.Name, []part{{"At the issuer", pretty(user)}}})
	})
}

func show(w http.ResponseWriter, p page) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	if err := pages.Execute(w, p); err != nil {
		log.Print(err) // the browser is gone
	}
}

func pretty(value any) string {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}
