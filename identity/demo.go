package identity

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/perdure/perdure/identity/internal/directory"
)

// DemoFile is the file in the data folder that has the passwords and tokens of demo mode, for
// scripts and for people who try an app out. Its mode is 0600.
const DemoFile = "demo-accounts.json"

// demoClient is the client id of the machine client of demo mode.
const demoClient = "perdure-demo"

// demoMark is the row that says that the folder has, or had, accounts of demo mode. It names one.
var demoMark = directory.Key2("demo", "accounts")

// DemoAccounts is what DemoFile holds.
type DemoAccounts struct {
	Issuer   string        `json:"issuer"`
	Audience string        `json:"audience"` // of the access tokens: the app's API
	Users    []DemoAccount `json:"users"`
	Client   DemoClient    `json:"client"`
}

// DemoAccount is a person. The access token is good for a day.
type DemoAccount struct {
	Username    string   `json:"username"`
	Password    string   `json:"password"`
	Roles       []string `json:"roles"`
	AccessToken string   `json:"access_token"`
}

// DemoClient is an application that asks for tokens by client credentials: for the app's API, and
// for the management API, where it may read.
type DemoClient struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// seedDemo makes the accounts of demo mode, and writes their passwords and new tokens to DemoFile.
// Passwords that are there already stay.
func (p *Provider) seedDemo(ctx context.Context) error {
	path := filepath.Join(p.options.Data, DemoFile)
	before, err := readDemo(path)
	if err != nil {
		return err
	}
	accounts := DemoAccounts{Issuer: p.options.Issuer, Audience: p.options.API.Identifier}
	err = p.env.Unit(ctx, func(ctx context.Context) error {
		accounts.Users = nil
		app, secret, err := p.seedDemoClient(ctx, before.Client.ClientSecret)
		if err != nil {
			return err
		}
		accounts.Client = DemoClient{app.ClientID, secret}
		if err := directory.Names.Put(ctx, demoMark, &directory.Name{ID: app.ClientID}); err != nil { // also without people
			return err
		}
		for _, u := range p.options.Demo.Users {
			account, err := p.seedDemoUser(ctx, app, u, before.password(u.Username))
			if err != nil {
				return fmt.Errorf("demo user %q: %w", u.Username, err)
			}
			accounts.Users = append(accounts.Users, *account)
			if err := directory.Names.Put(ctx, demoMark, &directory.Name{ID: u.Username}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := writeDemo(path, &accounts); err != nil {
		return err
	}
	p.options.Log.Warn("demo mode: whoever can read the file can sign in", "accounts", path)
	return nil
}

// password is that of a user; empty if it is not known.
func (a *DemoAccounts) password(username string) string {
	for _, u := range a.Users {
		if u.Username == username {
			return u.Password
		}
	}
	return ""
}

// seedDemoUser makes a user, and a password and a token for the user.
func (p *Provider) seedDemoUser(ctx context.Context, app *directory.Application, u DemoUser, password string) (*DemoAccount, error) {
	user, err := p.env.UserByLogin(ctx, directory.DefaultConnection, u.Username)
	if errors.Is(err, directory.ErrNotFound) {
		user, err = p.env.CreateUser(ctx, directory.Itself, &directory.User{
			Connection: directory.DefaultConnection, Username: u.Username, Name: u.Name,
			Email: u.Username + "@demo.example", EmailVerified: true, Demo: true,
		})
		password = ""
	}
	if err != nil {
		return nil, err
	}
	if password == "" { // a new account, or the file was deleted
		password = rand.Text()
		if err := p.people.SetPassword(ctx, user.ID, password); err != nil {
			return nil, err
		}
	}
	var roles []string
	for _, name := range u.Roles {
		role, err := p.env.RoleByName(ctx, name)
		if err != nil {
			return nil, err
		}
		roles = append(roles, role.ID)
	}
	if err := p.env.AssignRoles(ctx, directory.Itself, user.ID, directory.KindUser, roles...); err != nil {
		return nil, err
	}
	if user, err = p.env.User(ctx, user.ID); err != nil {
		return nil, err
	}
	token, _, err := p.oidc.MintForUser(ctx, app, user, p.options.API.Identifier)
	if err != nil {
		return nil, err
	}
	return &DemoAccount{Username: u.Username, Password: password, Roles: u.Roles, AccessToken: token}, nil
}

// seedDemoClient makes the machine client. Without its secret it gets another one.
func (p *Provider) seedDemoClient(ctx context.Context, secret string) (*directory.Application, string, error) {
	app, err := p.env.Application(ctx, demoClient)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		app, secret, err = p.env.CreateApplication(ctx, directory.Itself, &directory.Application{
			ClientID: demoClient, Name: "Demo", Type: directory.TypeRegularWeb, FirstParty: true,
			GrantTypes: []string{directory.GrantClient, directory.GrantPassword, directory.GrantRefresh, directory.GrantDevice, directory.GrantCode},
			// Where the example of a web application of its own is found: examples/profile.
			Callbacks: []string{"http://localhost:8083/login/callback"}, AllowedLogoutURLs: []string{"http://localhost:8083/"},
		})
	case err == nil && !p.env.CheckSecret(app, secret):
		app, secret, err = p.env.RotateSecret(ctx, directory.Itself, demoClient, 0)
	}
	if err != nil {
		return nil, "", err
	}
	grants := map[string][]string{
		p.options.API.Identifier: p.options.Demo.ClientPermissions,
		p.env.ManagementAPI():    {"read:users", "read:roles", "read:resource_servers", "read:clients", "read:client_grants", "read:connections", "read:logs"},
	}
	for audience, scope := range grants {
		_, err := p.env.GrantOf(ctx, demoClient, audience)
		if errors.Is(err, directory.ErrNotFound) {
			_, err = p.env.CreateClientGrant(ctx, directory.Itself, &directory.ClientGrant{ClientID: demoClient, Audience: audience, Scope: scope})
		}
		if err != nil {
			return nil, "", err
		}
	}
	return app, secret, nil
}

// readDemo reads what was written at an earlier start; nothing if it is not there or was damaged.
func readDemo(path string) (*DemoAccounts, error) {
	accounts := &DemoAccounts{}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if json.Unmarshal(data, accounts) != nil {
		return &DemoAccounts{}, nil
	}
	return accounts, nil
}

// writeDemo replaces the file in one step.
func writeDemo(path string, accounts *DemoAccounts) error {
	data, err := json.MarshalIndent(accounts, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), DemoFile+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), path)
}
