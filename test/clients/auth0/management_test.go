package auth0_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"github.com/auth0/go-auth0"
	"github.com/auth0/go-auth0/authentication/oauth"
	"github.com/auth0/go-auth0/management"
	"golang.org/x/oauth2"
)

const passwords = "Username-Password-Authentication"

// A machine gets its token by client credentials, and may do what it was granted.
func TestMachine(t *testing.T) {
	t.Parallel()
	n, ctx := newTenant(t), t.Context()
	api := n.manage(t, "create:users", "read:users", "update:users", "delete:users")

	ann := &management.User{Connection: auth0.String(passwords), Email: auth0.String("ann@example.org"), Password: auth0.String("correct horse battery"), Name: auth0.String("Ann")}
	must(t, api.User.Create(ctx, ann))
	must(t, api.User.Update(ctx, ann.GetID(), &management.User{UserMetadata: &map[string]any{"color": "green"}}))
	read, err := api.User.Read(ctx, ann.GetID())
	must(t, err)
	if read.GetName() != "Ann" || read.GetUserMetadata()["color"] != "green" || !strings.Contains(read.GetID(), "|") {
		t.Errorf("read %v", read)
	}
	found, err := api.User.Search(ctx, management.Query(`email:"ANN@example.org"`))
	must(t, err)
	if found.Total != 1 {
		t.Errorf("found %v", found)
	}
	wantStatus(t, api.User.Update(ctx, ann.GetID(), &management.User{Password: auth0.String("short")}), 400)
	must(t, api.User.Delete(ctx, ann.GetID()))
	_, err = api.User.Read(ctx, ann.GetID())
	wantStatus(t, err, 404)

	_, err = api.Role.List(ctx)
	wantStatus(t, err, 403)
	wantStatus(t, api.Role.Create(ctx, &management.Role{Name: auth0.String("x")}), 403)
	// One that was granted nothing gets no further.
	_, err = n.manage(t).User.List(ctx)
	wantStatus(t, err, 403)
}

// A machine without a secret signs what it proves itself by with a key of its own.
func TestMachineWithAKey(t *testing.T) {
	t.Parallel()
	n, ctx := newTenant(t), t.Context()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	must(t, err)
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))

	admin := n.manage(t, "create:clients", "create:client_grants", "delete:clients", "create:client_credentials")
	app := &management.Client{
		Name: auth0.String("Robot"), AppType: auth0.String("non_interactive"), GrantTypes: &[]string{"client_credentials"},
		ClientAuthenticationMethods: &management.ClientAuthenticationMethods{PrivateKeyJWT: &management.PrivateKeyJWT{
			Credentials: &[]management.Credential{{Name: auth0.String("one"), CredentialType: auth0.String("public_key"), PEM: &public, Algorithm: auth0.String("RS256")}},
		}},
	}
	must(t, admin.Client.Create(ctx, app))
	must(t, admin.ClientGrant.Create(ctx, &management.ClientGrant{
		ClientID: app.ClientID, Audience: auth0.String("https://" + n.domain + "/api/v2/"), Scope: &[]string{"read:roles"},
	}))
	withClient := context.WithValue(ctx, oauth2.HTTPClient, n.client())
	api, err := management.New(n.domain, management.WithClient(n.client()), management.WithClientCredentialsPrivateKeyJwt(withClient, app.GetClientID(), string(private), "RS256"))
	must(t, err)
	if _, err := api.Role.List(ctx); err != nil {
		t.Error(err)
	}
	_, err = api.User.List(ctx)
	wantStatus(t, err, 403)
}

// A token for another API, and none at all, are no way in.
func TestOthersStayOut(t *testing.T) {
	t.Parallel()
	n := newTenant(t)
	shop, _ := n.shop(t)
	other, err := shop.OAuth.LoginWithClientCredentials(t.Context(), oauth.LoginWithClientCredentialsRequest{Audience: "https://orders.example.org/"}, oauth.IDTokenValidationOptions{})
	must(t, err)
	for _, token := range []string{other.AccessToken, "", "eyJhbGciOiJub25lIn0.eyJzY29wZSI6InJlYWQ6dXNlcnMifQ.", "insecure"} {
		api, err := management.New(n.domain, management.WithClient(n.client()), management.WithStaticToken(token))
		must(t, err)
		_, err = api.User.List(t.Context())
		wantStatus(t, err, 401)
	}
}

// Rights that are given through the SDK are in the lists of the SDK, and who is paged through is complete.
func TestAdministration(t *testing.T) {
	t.Parallel()
	n, ctx := newTenant(t), t.Context()
	var all []string
	for _, noun := range []string{"users", "roles", "role_members", "clients", "client_keys", "client_credentials", "resource_servers", "client_grants", "connections"} {
		for _, verb := range []string{"read", "create", "update", "delete"} {
			all = append(all, verb+":"+noun)
		}
	}
	api := n.manage(t, append(all, "read:logs", "create:user_tickets", "read:signing_keys")...)

	orders := &management.ResourceServer{
		Identifier: auth0.String("https://orders.example.org/"), Name: auth0.String("Orders"), EnforcePolicies: auth0.Bool(true),
		Scopes: &[]management.ResourceServerScope{{Value: auth0.String("read:orders")}, {Value: auth0.String("approve:orders")}},
	}
	must(t, api.ResourceServer.Create(ctx, orders))
	clerk := &management.Role{Name: auth0.String("clerk")}
	must(t, api.Role.Create(ctx, clerk))
	must(t, api.Role.AssociatePermissions(ctx, clerk.GetID(), []*management.Permission{{ResourceServerIdentifier: orders.Identifier, Name: auth0.String("approve:orders")}}))
	var users []*management.User
	for i := range 12 {
		u := &management.User{Connection: auth0.String(passwords), Email: auth0.Stringf("user%02d@example.org", i)}
		must(t, api.User.Create(ctx, u))
		users = append(users, u)
	}
	must(t, api.Role.AssignUsers(ctx, clerk.GetID(), users[:7]))
	must(t, api.User.AssignRoles(ctx, users[7].GetID(), []*management.Role{clerk}))
	must(t, api.User.RemoveRoles(ctx, users[0].GetID(), []*management.Role{clerk}))
	var members []string
	for page := 0; ; page++ {
		l, err := api.Role.Users(ctx, clerk.GetID(), management.Page(page), management.PerPage(3))
		must(t, err)
		for _, u := range l.Users {
			members = append(members, u.GetEmail())
		}
		if !l.HasNext() {
			break
		}
	}
	if slices.Sort(members); len(members) != 7 || members[0] != "user01@example.org" {
		t.Errorf("members %v", members)
	}
	rights, err := api.User.Permissions(ctx, users[7].GetID())
	must(t, err)
	if rights.Total != 1 || rights.Permissions[0].GetName() != "approve:orders" {
		t.Errorf("rights %v", rights)
	}

	app := &management.Client{Name: auth0.String("Shop"), AppType: auth0.String("regular_web"), Callbacks: &[]string{"https://shop.example.org/callback"}}
	must(t, api.Client.Create(ctx, app))
	secret := app.GetClientSecret()
	rotated, err := api.Client.RotateSecret(ctx, app.GetClientID())
	must(t, err)
	if secret == "" || rotated.GetClientSecret() == secret {
		t.Errorf("rotated %v", rotated)
	}
	grant := &management.ClientGrant{ClientID: app.ClientID, Audience: orders.Identifier, Scope: &[]string{"read:orders"}}
	must(t, api.ClientGrant.Create(ctx, grant))
	connection, err := api.Connection.ReadByName(ctx, passwords)
	must(t, err)
	if connection.GetStrategy() != management.ConnectionStrategyAuth0 {
		t.Errorf("connection %v", connection)
	}
	ticket := &management.Ticket{UserID: users[0].ID}
	must(t, api.Ticket.ChangePassword(ctx, ticket))
	if !strings.HasPrefix(ticket.GetTicket(), "https://"+n.domain+"/u/") {
		t.Errorf("ticket %v", ticket)
	}
	logs, err := api.Log.List(ctx, management.PerPage(5))
	must(t, err)
	if len(logs) != 5 || !strings.HasSuffix(logs[0].Details["actor"].(string), "@clients") {
		t.Errorf("logs %v", logs)
	}
	keys, err := api.SigningKey.List(ctx)
	must(t, err)
	if len(keys) == 0 {
		t.Error("no keys, though tokens were signed")
	}
}
