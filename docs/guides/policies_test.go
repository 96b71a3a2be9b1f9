package guides_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/perduretest"
	"github.com/perdure/perdure/table"
)

// Letter is a row of the guide's app.
type Letter struct {
	Author string `json:"author"`
	Text   string `json:"text"`
	Sent   bool   `json:"sent"`
}

var letters = table.Of[Letter]("letters")

type writeIn struct {
	Who  auth.Principal
	ID   string `path:"id"`
	Text string `body:""`
}

type writeOut struct {
	Letter *Letter `bind:"letters/{id}"`
}

func writeLetter(_ context.Context, in *writeIn) (*writeOut, error) {
	return &writeOut{&Letter{Author: in.Who.Subject, Text: in.Text}}, nil
}

type sendIn struct {
	Letter *Letter `bind:"letters/{id}"`
}

type sendOut struct {
	Letter *Letter `bind:"letters/{id}"`
}

func sendLetter(_ context.Context, in *sendIn) (*sendOut, error) {
	in.Letter.Sent = true
	return &sendOut{in.Letter}, nil
}

var notOwn = auth.Resource("not the own letter", func(_ context.Context, who *auth.Principal, in *sendIn) error {
	if in.Letter.Author == who.Subject {
		return errors.New("nobody sends the own letter")
	}
	return nil
})

func office() []perdure.Part {
	return []perdure.Part{
		letters,
		perdure.HTTP("PUT /letters/{id}", writeLetter, perdure.Require(auth.Permission("write:letters"))),
		perdure.HTTP("POST /letters/{id}/send", sendLetter, perdure.Require(auth.Permission("send:letters"), notOwn)),
		perdure.Guarded(auth.Any(auth.Role("manager"), auth.Claim("department", "post")).Named("the post room"),
			perdure.Handle("GET /post/", http.NotFoundHandler()),
		),
	}
}

func served() (perdure.Config, error) {
	verifier, err := auth.NewVerifier(auth.VerifierConfig{
		Issuer: "https://tenant.eu.auth0.com/", Audiences: []string{"https://letters.example.com"},
	})
	return perdure.Config{Auth: verifier, Policy: auth.Authenticated()}, err
}

func TestNobodySendsTheOwnLetter(t *testing.T) {
	app := perduretest.Start(t, perdure.Config{}, office()...)
	ada := app.As(auth.Principal{Subject: "ada", Permissions: []string{"write:letters", "send:letters"}})
	bob := app.As(auth.Principal{Subject: "bob", Permissions: []string{"send:letters"}})
	ada.Do("PUT", "/letters/1", "Dear Bob").Want(204)
	app.Do("POST", "/letters/1/send", nil).Want(401)
	ada.Do("POST", "/letters/1/send", nil).Want(403)
	bob.Do("PUT", "/letters/1", "Dear Ada").Want(403)
	bob.Do("POST", "/letters/1/send", nil).Want(204)
}

func TestOwnLetterIsRefused(t *testing.T) {
	d := notOwn.Decide(t.Context(), &auth.Principal{Subject: "ada"}, &sendIn{&Letter{Author: "ada"}})
	if d.Verdict != auth.Denied || d.Why() != "nobody sends the own letter" {
		t.Errorf("%s: %s", d.Verdict, d.Why())
	}
}

// The parts of the guide's configuration fit together.
func TestPoliciesGuideConfig(t *testing.T) {
	t.Parallel()
	config, err := served()
	if err != nil {
		t.Fatal(err)
	}
	app := startApp(t, config, append(office(), perdure.Handle("GET /page", http.NotFoundHandler()))...)
	ask(t, app, "GET", "/page", "", http.StatusUnauthorized, "")
	ask(t, app, "GET", "/post/x", "", http.StatusUnauthorized, "")
	ask(t, app, "GET", "/openapi.json", "", http.StatusOK, `"x-perdure-policy":{"expression":"permission write:letters"`)
}
