// Command profile is a web application that people sign in to at an OpenID Connect issuer, Perdure's or another. One page shows
// who is signed in, with the claims of both tokens; another reads the caller's profile through the issuer's management API,
// as the application itself (client credentials).
//
// It serves http://localhost:8082. PROFILE_ISSUER, PROFILE_CLIENT_ID and PROFILE_CLIENT_SECRET say where it is registered: as a web
// application with the redirect URI http://localhost:8082/login/callback, the logout URI http://localhost:8082/, and a
// grant of read:users for the management API. PROFILE_AUDIENCE is the API whose access token is shown; PROFILE_URL is
// where browsers find the application, PROFILE_LISTEN where it listens, if that is not localhost:8082.
package main

import (
	"cmp"
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/perdure/perdure/auth/login"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listen := cmp.Or(os.Getenv("PROFILE_LISTEN"), "localhost:8082")
	handler, err := newHandler(login.Config{
		Issuer:       cmp.Or(os.Getenv("PROFILE_ISSUER"), "http://localhost:8080/"),
		ClientID:     os.Getenv("PROFILE_CLIENT_ID"),
		ClientSecret: os.Getenv("PROFILE_CLIENT_SECRET"),
		BaseURL:      cmp.Or(os.Getenv("PROFILE_URL"), "http://"+listen),
		Audience:     os.Getenv("PROFILE_AUDIENCE"),
	})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: listen, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx) // what is cut off then is a page
	}()
	log.Printf("open http://%s/", listen)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}

// newHandler is the application.
func newHandler(config login.Config) (http.Handler, error) {
	l, err := login.New(config)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	l.Mount(mux)
	mux.Handle("GET /{$}", l.Require(claimsPage(l)))
	mux.Handle("GET /profile", l.Require(profilePage(newManagement(config))))
	return mux, nil
}
