package perdure_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
)

// visitors takes a name for a token; use an auth.Verifier, which checks one.
var visitors = auth.AuthenticatorFunc(func(r *http.Request) (*auth.Principal, error) {
	name, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, nil
	}
	who := &auth.Principal{Subject: name, Name: name, Permissions: []string{"sign:notes"}}
	if name == "eve" {
		who.Permissions = nil
	}
	return who, nil
})

// startVisited starts an app that knows its visitors.
func startVisited(parts ...perdure.Part) (visit func(name, method, path string), stop func()) {
	app := perdure.New(perdure.Config{
		Store: "memory:", Listen: "none", Hosts: []string{"example.com"}, Logger: slog.New(slog.DiscardHandler), Auth: visitors,
	})
	app.Add(parts...)
	if err := app.Start(context.Background()); err != nil {
		panic(err)
	}
	visit = func(name, method, path string) {
		r := httptest.NewRequest(method, "http://example.com"+path, nil)
		if name != "" {
			r.Header.Set("Authorization", "Bearer "+name)
		}
		w := httptest.NewRecorder()
		app.Handler().ServeHTTP(w, r)
		fmt.Println(name, w.Code)
	}
	return visit, func() {
		if err := app.Stop(context.Background()); err != nil {
			panic(err)
		}
	}
}

type signIn struct {
	Who  auth.Principal
	Note *Note `bind:"notes/{id}"`
}

type signOut struct {
	Note *Note `bind:"notes/{id}"`
}

func signNote(_ context.Context, in *signIn) (*signOut, error) {
	in.Note.Text += ", signed by " + in.Who.Name
	return &signOut{in.Note}, nil
}

// A right, and a condition on the row that the function is about.
func ExampleRequire() {
	unsigned := auth.Resource("not signed yet", func(_ context.Context, who *auth.Principal, in *signIn) error {
		if strings.Contains(in.Note.Text, "signed by "+who.Name) {
			return errors.New("nobody signs twice")
		}
		return nil
	})
	visit, stop := startVisited(
		perdure.HTTP("PUT /notes/{id}", func(context.Context, *struct{}) (*writtenOut, error) {
			return &writtenOut{&Note{Text: "hello"}}, nil
		}),
		perdure.HTTP("POST /notes/{id}/sign", signNote, perdure.Require(auth.Permission("sign:notes"), unsigned)),
		Notes,
	)
	defer stop()
	visit("", "PUT", "/notes/1")
	visit("", "POST", "/notes/1/sign")
	visit("eve", "POST", "/notes/1/sign")
	visit("ann", "POST", "/notes/1/sign")
	visit("ann", "POST", "/notes/1/sign")
	visit("bob", "POST", "/notes/1/sign")
	// Output:
	//  204
	//  401
	// eve 403
	// ann 204
	// ann 403
	// bob 204
}

type writtenOut struct {
	Note *Note `bind:"notes/{id}"`
}

// A group requires its policy of all that is in it.
func ExampleGuarded() {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "hello "+auth.From(r.Context()).Name)
	})
	visit, stop := startVisited(
		perdure.Guarded(auth.Authenticated(),
			perdure.Handle("GET /pages/", page),
			perdure.Guarded(auth.Permission("sign:notes"), perdure.Handle("GET /pages/desk", page)),
		),
	)
	defer stop()
	visit("", "GET", "/pages/hall")
	visit("eve", "GET", "/pages/hall")
	visit("eve", "GET", "/pages/desk")
	visit("ann", "GET", "/pages/desk")
	// Output:
	//  401
	// eve 200
	// eve 403
	// ann 200
}
