package login_test

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/auth/login"
	"github.com/perdure/perdure/internal/clock"
)

// An application whose pages need a sign-in.
func Example() {
	mux := http.NewServeMux()
	issuer, app, browser := exampleParts(mux)
	defer issuer.Close()
	defer app.Close()

	l, err := login.New(login.Config{
		Issuer:       issuer.URL,
		ClientID:     "app",
		ClientSecret: clientSecret,
		BaseURL:      app.URL,
		Logger:       quiet,
	})
	if err != nil {
		log.Fatal(err)
	}
	l.Mount(mux)
	mux.Handle("/", l.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s.", auth.From(r.Context()).Name)
	})))

	fmt.Println(browser.open("/welcome"))
	// Output: Hello, Ann.
}

// One handler for browsers, which sign in, and for programs, which send a bearer token.
func ExampleLogin_Redirect() {
	mux := http.NewServeMux()
	issuer, app, browser := exampleParts(mux)
	defer issuer.Close()
	defer app.Close()

	l, err := login.New(login.Config{
		Issuer:       issuer.URL,
		ClientID:     "app",
		ClientSecret: clientSecret,
		BaseURL:      app.URL,
		Audience:     "https://api.example.com",
		Logger:       quiet,
	})
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := auth.NewVerifier(auth.VerifierConfig{
		Issuer: issuer.URL, Audiences: []string{"https://api.example.com"},
	})
	if err != nil {
		log.Fatal(err)
	}
	files := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s may read files.", auth.From(r.Context()).Name)
	})
	l.Mount(mux)
	mux.Handle("/files", l.Redirect(auth.Middleware(auth.First(verifier, l), auth.Permission("read:files"), files)))

	fmt.Println(browser.open("/files"))
	// Output: Ann may read files.
}

// Calls to another API, on behalf of the person who is signed in.
func ExampleLogin_Token() {
	mux := http.NewServeMux()
	issuer, app, browser := exampleParts(mux)
	defer issuer.Close()
	defer app.Close()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := auth.BearerToken(r.Header)
		fmt.Fprintf(w, "the API got a token: %t, %v", token != "", err)
	}))
	defer api.Close()

	l, err := login.New(login.Config{
		Issuer: issuer.URL, ClientID: "app", ClientSecret: clientSecret, BaseURL: app.URL,
		Audience: "https://api.example.com", Logger: quiet,
	})
	if err != nil {
		log.Fatal(err)
	}
	l.Mount(mux)
	mux.Handle("/orders", l.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := l.Token(r)
		if err != nil {
			auth.RefuseCredentials(w, r, err)
			return
		}
		call, err := http.NewRequestWithContext(r.Context(), http.MethodGet, api.URL+"/orders", nil)
		if err != nil {
			panic(err)
		}
		call.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(call)
		if err != nil {
			http.Error(w, "The orders are not available.", http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		_, _ = io.Copy(w, resp.Body)
	})))

	fmt.Println(browser.open("/orders"))
	// Output: the API got a token: true, <nil>
}

// Sessions in a store of one's own.
func ExampleNewSealer() {
	sessionKey, oldSessionKey := make([]byte, 32), make([]byte, 32) // from where the application keeps its secrets
	store := login.NewMemoryStore()

	sealer, err := login.NewSealer(sessionKey, oldSessionKey)
	if err != nil {
		log.Fatal(err)
	}
	config := login.Config{
		Issuer: "https://example.auth0.com/", ClientID: "app", BaseURL: "https://app.example.com",
		Store:  store,
		Sealer: sealer,
	}

	_, err = login.New(config)
	fmt.Println(err)
	// Output: <nil>
}

var quiet = slog.New(slog.DiscardHandler)

type exampleBrowser struct {
	http.Client
	base string
}

// open returns what a page shows in the end.
func (b *exampleBrowser) open(path string) string {
	r, err := http.NewRequest(http.MethodGet, b.base+path, nil)
	if err != nil {
		return err.Error()
	}
	r.Header.Set("Accept", "text/html")
	resp, err := b.Do(r)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// exampleParts are an issuer that signs Ann in, the server of an application, and a browser.
func exampleParts(app http.Handler) (*issuer, *httptest.Server, *exampleBrowser) {
	server := httptest.NewServer(app)
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err)
	}
	i := startIssuer()
	i.clock = clock.NewManual(time.Now())
	return i, server, &exampleBrowser{http.Client{Jar: jar}, server.URL}
}
