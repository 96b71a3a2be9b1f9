package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/control"
)

// perdureAudience is the API for which tokens are issued.
const perdureAudience = "https://orders.example.com"

// servePerdure serves an app with its own provider, on its store in the folder, as any program does. Demo mode makes the
// client and the people.
func servePerdure(ctx context.Context, s serving) (*offer, error) {
	demo := &identity.Demo{ClientPermissions: verifyPermissions}
	for i := range s.SignIns {
		demo.Users = append(demo.Users, identity.DemoUser{Username: fmt.Sprintf("user-%d", i), Roles: []string{"clerk"}})
	}
	data := filepath.Join(s.Dir, "perdure")
	app := perdure.New(perdure.Config{
		Data: data, Listen: "localhost:0", Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Identity: &identity.Config{
			API:   identity.API{Identifier: perdureAudience, Name: "Orders"},
			Roles: []identity.Role{{Name: "clerk", Permissions: verifyPermissions}},
			Demo:  demo,
		},
	})
	app.Add(perdure.HTTP("GET /orders", func(context.Context, *struct{}) (*struct{}, error) { return nil, nil },
		perdure.Require(auth.Permission("read:orders"))))
	if err := app.Start(ctx); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = app.Stop(context.Background()) })
	text, err := os.ReadFile(filepath.Join(data, identity.DemoFile))
	if err != nil {
		return nil, err
	}
	var accounts identity.DemoAccounts
	if err := json.Unmarshal(text, &accounts); err != nil {
		return nil, err
	}
	if err := signBy(ctx, data, accounts.Client.ClientID, s.Algorithm); err != nil {
		return nil, fmt.Errorf("choose %s: %w", s.Algorithm, err)
	}
	base := strings.TrimSuffix(accounts.Issuer, "/")
	o := &offer{
		Issuer: accounts.Issuer, TokenURL: base + "/oauth/token", KeysURL: base + "/.well-known/jwks.json", Audience: accounts.Audience,
		ClientID: accounts.Client.ClientID, Secret: accounts.Client.ClientSecret,
		AppID: accounts.Client.ClientID, AppSecret: accounts.Client.ClientSecret,
	}
	for _, user := range accounts.Users {
		var answer tokenAnswer
		err := askForTokens(ctx, http.DefaultClient, o.TokenURL, url.Values{
			"grant_type": {"password"}, "client_id": {o.AppID}, "client_secret": {o.AppSecret}, "audience": {o.Audience},
			"username": {user.Username}, "password": {user.Password}, "scope": {"openid offline_access"},
		}, &answer)
		if err != nil {
			return nil, fmt.Errorf("sign %s in: %w", user.Username, err)
		}
		o.RefreshTokens = append(o.RefreshTokens, answer.RefreshToken)
	}
	return o, nil
}

// signBy chooses what signs the access tokens for the API and the ID tokens for the client, by the management API on the
// socket in the data folder.
func signBy(ctx context.Context, data, clientID, alg string) error {
	client := control.NewClient(data)
	const path = "identity/api/v2/resource-servers"
	var apis []struct{ ID string }
	if err := client.Do(ctx, http.MethodGet, path, url.Values{"identifiers": {perdureAudience}}, nil, &apis); err != nil {
		return err
	}
	if len(apis) != 1 {
		return fmt.Errorf("there are %d APIs %q", len(apis), perdureAudience)
	}
	if err := client.Do(ctx, http.MethodPatch, path+"/"+apis[0].ID, nil, map[string]string{"signing_alg": alg}, nil); err != nil {
		return err
	}
	return client.Do(ctx, http.MethodPatch, "identity/api/v2/clients/"+clientID, nil,
		map[string]any{"jwt_configuration": map[string]string{"alg": alg}}, nil)
}
