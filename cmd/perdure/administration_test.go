package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity"
)

// members is an app of the scripts whose users are its own. It writes its issuer to the file "issuer".
func members() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config := perdure.ConfigFromEnv(perdure.Config{Title: "Members", Listen: "localhost:0"})
	config.Identity = &identity.Config{
		Roles:  []identity.Role{{Name: "clerk", Description: "Looks at files", Permissions: []string{"read:files"}}},
		SignUp: os.Getenv("MEMBERS_OPEN") != "",
	}
	if os.Getenv("MEMBERS_DEMO") != "" {
		config.Identity.Demo = &identity.Demo{Users: []identity.DemoUser{{Username: "uma", Roles: []string{"clerk"}}}}
	}
	app := perdure.New(config)
	app.Add(
		perdure.HTTP("GET /files", func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }, perdure.Require(auth.Permission("read:files"))),
		perdure.HTTP("GET /open", func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }, perdure.Require(auth.Anonymous())),
	)
	err := app.Start(ctx)
	if err == nil {
		_, port, _ := net.SplitHostPort(app.Addr().String())
		err = os.WriteFile("issuer", []byte("http://localhost:"+port+"/"), 0o600)
	}
	if err == nil {
		<-ctx.Done()
		err = app.Stop(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// signIn signs a user in, by the application in the file credentials and the password in the file password, and
// prints the permissions that the access token has. signin USER AUDIENCE, where "management" is the management API.
func signIn() {
	permissions, err := tokenPermissions(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(strings.Join(permissions, "\n"))
}

func tokenPermissions(user, audience string) ([]string, error) {
	issuer, err := os.ReadFile("issuer")
	if err != nil {
		return nil, err
	}
	password, err := os.ReadFile("password")
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile("credentials")
	if err != nil {
		return nil, err
	}
	var app application
	if err := json.Unmarshal(text, &app); err != nil {
		return nil, err
	}
	if audience == "management" {
		audience = string(issuer) + "api/v2/"
	}
	res, err := http.PostForm(string(issuer)+"oauth/token", url.Values{
		"grant_type": {"password"}, "client_id": {app.ClientID}, "client_secret": {app.ClientSecret},
		"username": {user}, "password": {strings.TrimSpace(string(password))}, "audience": {audience},
	})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %w", res.Status, body, err)
	}
	var token struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &token); err != nil {
		return nil, err
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token.Access, ".")[1])
	if err != nil {
		return nil, err
	}
	var claims struct {
		Permissions []string `json:"permissions"`
	}
	return claims.Permissions, json.Unmarshal(payload, &claims)
}
