// Command profile is a web application that people sign in to at an OpenID Connect issuer, Perdure's or another. One page shows
// who is signed in, with the claims of both tokens; another reads the caller's profile through the issuer's management API,
// as the application itself (client credentials).
//
// It serves http://localhost:8083. Beside an app in demo mode, such as the file approver that make run starts, it needs nothing
// else: it takes the issuer and its own credentials from the file demo-accounts.json in perdure-data, or where PROFILE_DEMO says.
//
// For another issuer PROFILE_ISSUER, PROFILE_CLIENT_ID and PROFILE_CLIENT_SECRET say where it is registered: as a web
// application with the redirect URI http://localhost:8083/login/callback, the logout URI http://localhost:8083/, and a
// grant of read:users for the management API. PROFILE_AUDIENCE is the API whose access token is shown; PROFILE_URL is
// where browsers find the application, PROFILE_LISTEN where it listens, if that is not localhost:8083.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/perdure/perdure/auth/login"
	"github.com/perdure/perdure/identity"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listen := cmp.Or(os.Getenv("PROFILE_LISTEN"), "localhost:8083")
	config, err := configFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	config.BaseURL = cmp.Or(os.Getenv("PROFILE_URL"), "http://"+listen)
	handler, err := newHandler(config)
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

// configFromEnv says at which issuer people sign in.
func configFromEnv() (login.Config, error) {
	config := login.Config{
		Issuer: os.Getenv("PROFILE_ISSUER"), Audience: os.Getenv("PROFILE_AUDIENCE"),
		ClientID: os.Getenv("PROFILE_CLIENT_ID"), ClientSecret: os.Getenv("PROFILE_CLIENT_SECRET"),
	}
	if config.Issuer != "" {
		return config, nil
	}
	path := cmp.Or(os.Getenv("PROFILE_DEMO"), filepath.Join("perdure-data", identity.DemoFile))
	data, err := os.ReadFile(path)
	if err != nil {
		return config, fmt.Errorf("set PROFILE_ISSUER, or start an app in demo mode before, such as by make run: %w", err)
	}
	var accounts identity.DemoAccounts
	if err := json.Unmarshal(data, &accounts); err != nil {
		return config, fmt.Errorf("%s: %w", path, err)
	}
	config.Issuer, config.Audience = accounts.Issuer, accounts.Audience
	config.ClientID, config.ClientSecret = accounts.Client.ClientID, accounts.Client.ClientSecret
	return config, nil
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
