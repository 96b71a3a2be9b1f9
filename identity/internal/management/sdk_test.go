package management_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/auth0/go-auth0"
	sdk "github.com/auth0/go-auth0/management"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
)

// newSDK is Auth0's client, as it is, on the handler behind TLS. The token stands for permissions.
func newSDK(t testing.TB, w *world, token string) *sdk.Management {
	t.Helper()
	server := httptest.NewTLSServer(w)
	t.Cleanup(server.Close)
	api, err := sdk.New(strings.TrimPrefix(server.URL, "https://"), sdk.WithClient(server.Client()), sdk.WithStaticToken(token))
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// must ends the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantStatus wants an error with a status.
func wantStatus(t testing.TB, err error, status int) {
	t.Helper()
	var e sdk.Error
	if !errors.As(err, &e) || e.Status() != status {
		t.Errorf("got %v, want the status %d", err, status)
	}
}

func TestSDKUsers(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	api := newSDK(t, w, everything())

	ann := &sdk.User{
		Connection: auth0.String(directory.DefaultConnection), Email: auth0.String("Ann@example.org"), Password: auth0.String("correct horse"),
		Name: auth0.String("Ann"), GivenName: auth0.String("Ann"), FamilyName: auth0.String("Lee"), Nickname: auth0.String("an"),
		Picture: auth0.String("https://example.org/ann.png"), EmailVerified: auth0.Bool(true), VerifyEmail: auth0.Bool(true),
		UserMetadata: &map[string]any{"color": "green", "size": 7}, AppMetadata: &map[string]any{"plan": "gold"},
	}
	must(t, api.User.Create(ctx, ann))
	if !strings.HasPrefix(ann.GetID(), "perdure|") || ann.GetEmail() != "Ann@example.org" || !ann.GetEmailVerified() || w.mails != 1 {
		t.Errorf("created %v, %d mails", ann, w.mails)
	}
	if w.passwords[ann.GetID()] != "correct horse" {
		t.Errorf("passwords %v", w.passwords)
	}
	wantStatus(t, api.User.Create(ctx, &sdk.User{Connection: auth0.String(directory.DefaultConnection), Email: auth0.String("ann@EXAMPLE.org")}), 409)
	wantStatus(t, api.User.Create(ctx, &sdk.User{Connection: auth0.String(directory.DefaultConnection), Email: auth0.String("b@example.org"), Password: auth0.String("short")}), 400)
	wantStatus(t, api.User.Create(ctx, &sdk.User{Connection: auth0.String("nothing"), Email: auth0.String("b@example.org")}), 400)
	if l, err := api.User.ListByEmail(ctx, "b@example.org"); err != nil || len(l) != 0 {
		t.Errorf("a user who could not be made is there: %v, %v", l, err)
	}

	read, err := api.User.Read(ctx, ann.GetID())
	must(t, err)
	if read.GetName() != "Ann" || read.GetUserMetadata()["color"] != "green" || len(read.Identities) != 1 || read.Identities[0].GetConnection() != directory.DefaultConnection {
		t.Errorf("read %v", read)
	}
	if read, err = api.User.Read(ctx, ann.GetID(), sdk.IncludeFields("email")); err != nil || read.GetEmail() == "" || read.GetID() != "" {
		t.Errorf("with one field: %v, %v", read, err)
	}
	if read, err = api.User.Read(ctx, ann.GetID(), sdk.ExcludeFields("email")); err != nil || read.GetEmail() != "" || read.GetID() == "" {
		t.Errorf("without a field: %v, %v", read, err)
	}

	must(t, api.User.Update(ctx, ann.GetID(), &sdk.User{
		Nickname: auth0.String("annie"), UserMetadata: &map[string]any{"color": nil, "shoes": 38}, Blocked: auth0.Bool(true),
	}))
	read, err = api.User.Read(ctx, ann.GetID())
	must(t, err)
	if read.GetNickname() != "annie" || read.GetName() != "Ann" || fmt.Sprint(read.GetUserMetadata()) != "map[shoes:38 size:7]" || !read.GetBlocked() {
		t.Errorf("updated %v", read)
	}
	must(t, api.User.Update(ctx, ann.GetID(), &sdk.User{Email: auth0.String("ann@example.com"), Blocked: auth0.Bool(false)}))
	if read, err = api.User.Read(ctx, ann.GetID()); err != nil || read.GetEmailVerified() {
		t.Errorf("a new address is verified: %v, %v", read, err)
	}
	must(t, api.User.Update(ctx, ann.GetID(), &sdk.User{Password: auth0.String("battery staple"), Connection: auth0.String(directory.DefaultConnection)}))
	if w.passwords[ann.GetID()] != "battery staple" {
		t.Errorf("passwords %v", w.passwords)
	}
	wantStatus(t, api.User.Update(ctx, ann.GetID(), &sdk.User{LastIP: auth0.String("192.0.2.1")}), 400)
	wantStatus(t, api.User.Update(ctx, "perdure|nobody", &sdk.User{Name: auth0.String("x")}), 404)
	_, err = api.User.Read(ctx, "a/b|c d?e#f")
	wantStatus(t, err, 404)

	found, err := api.User.ListByEmail(ctx, "ANN@example.com")
	must(t, err)
	if len(found) != 1 || found[0].GetID() != ann.GetID() {
		t.Errorf("by address: %v", found)
	}
	named := &sdk.User{ID: auth0.String("ben/1"), Connection: auth0.String(directory.DefaultConnection), Email: auth0.String("ben@example.org")}
	wantStatus(t, api.User.Create(ctx, named), 400)
	named.ID = auth0.String("ben")
	must(t, api.User.Create(ctx, named))
	if named.GetID() != "perdure|ben" {
		t.Errorf("named %v", named)
	}

	must(t, api.User.Delete(ctx, ann.GetID()))
	must(t, api.User.Delete(ctx, ann.GetID()))
	_, err = api.User.Read(ctx, ann.GetID())
	wantStatus(t, err, 404)
}

func TestSDKPagesAndSearch(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	api := newSDK(t, w, everything())
	for i := range 120 {
		u := &sdk.User{
			Connection: auth0.String(directory.DefaultConnection), Email: auth0.Stringf("user%03d@example.org", i), Name: auth0.Stringf("User %d", i%10),
			AppMetadata: &map[string]any{"plan": []string{"gold", "silver"}[i%2]},
		}
		must(t, api.User.Create(ctx, u))
	}
	var all []string
	for page := 0; ; page++ {
		l, err := api.User.List(ctx, sdk.Page(page))
		must(t, err)
		if l.Total != 120 || l.Start != page*50 || l.Limit != 50 || l.Length != len(l.Users) {
			t.Errorf("page %d: %+v", page, l.List)
		}
		for _, u := range l.Users {
			all = append(all, u.GetEmail())
		}
		if !l.HasNext() {
			break
		}
	}
	if len(all) != 120 || len(slices.Compact(slices.Sorted(slices.Values(all)))) != 120 {
		t.Errorf("pages have %d users", len(all))
	}
	// Marks reach the same.
	var marked []string
	from := []sdk.RequestOption{sdk.Take(70), sdk.PerPage(70)}
	for {
		l, err := api.User.List(ctx, from...)
		must(t, err)
		for _, u := range l.Users {
			marked = append(marked, u.GetEmail())
		}
		if l.Next == "" {
			break
		}
		from = []sdk.RequestOption{sdk.Take(70), sdk.From(l.Next)}
	}
	if !slices.Equal(all, marked) {
		t.Errorf("marks reach %d users", len(marked))
	}
	for q, want := range map[string]int{
		`email:"USER007@example.org"`:                                 1,
		`name:"User 3"`:                                               12,
		`email:user00*`:                                               10,
		`app_metadata.plan:gold AND name:"User 4"`:                    12,
		`app_metadata.plan:silver AND name:"User 4"`:                  0,
		`name:"User 1" OR name:"User 2"`:                              24,
		`NOT app_metadata.plan:gold`:                                  60,
		`identities.connection:"` + directory.DefaultConnection + `"`: 120,
	} {
		l, err := api.User.Search(ctx, sdk.Query(q))
		must(t, err)
		if l.Total != want {
			t.Errorf("%s: %d users, want %d", q, l.Total, want)
		}
	}
	l, err := api.User.List(ctx, sdk.Sort("email:-1"), sdk.PerPage(3), sdk.IncludeFields("email", "user_id"), sdk.Parameter("connection", directory.DefaultConnection), sdk.Query("name:User*"))
	must(t, err)
	if len(l.Users) != 3 || l.Users[0].GetEmail() != "user119@example.org" || l.Users[0].GetName() != "" {
		t.Errorf("sorted %v", l.Users)
	}
	for _, bad := range []sdk.RequestOption{
		sdk.Query("name:("), sdk.Query(`a) OR (b`), sdk.Sort("password:1"), sdk.PerPage(101), sdk.Page(-1), sdk.Page(21), sdk.From("x"),
		sdk.Parameter("where", "1"), sdk.Parameter("include_totals", "maybe"), sdk.Parameter("search_engine", "v1"),
	} {
		_, err := api.User.List(ctx, bad)
		wantStatus(t, err, 400)
	}
	if l, err = api.User.List(ctx, sdk.Parameter("connection", `x" OR name:"User 1`)); err != nil || l.Total != 0 {
		t.Errorf("a filter was escaped from: %v, %v", l, err)
	}
	_, err = api.User.List(ctx, sdk.Parameter("connection", "x"), sdk.Query("a) OR (name:User*"))
	wantStatus(t, err, 400)
}

func TestSDKRights(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	api := newSDK(t, w, everything())

	files := &sdk.ResourceServer{
		Name: auth0.String("Files"), Identifier: auth0.String("https://files.example.org/"), EnforcePolicies: auth0.Bool(true),
		TokenDialect: auth0.String("access_token_authz"), TokenLifetime: auth0.Int(3600), AllowOfflineAccess: auth0.Bool(true),
		Scopes: &[]sdk.ResourceServerScope{
			{Value: auth0.String("read:files"), Description: auth0.String("Read files")}, {Value: auth0.String("approve:files")},
		},
		SkipConsentForVerifiableFirstPartyClients: auth0.Bool(true), SigningAlgorithm: auth0.String("RS256"),
	}
	must(t, api.ResourceServer.Create(ctx, files))
	wantStatus(t, api.ResourceServer.Create(ctx, &sdk.ResourceServer{Identifier: auth0.String("https://files.example.org/")}), 409)
	read, err := api.ResourceServer.Read(ctx, files.GetID())
	must(t, err)
	if read.GetName() != "Files" || len(read.GetScopes()) != 2 || read.GetTokenLifetime() != 3600 || !read.GetEnforcePolicies() {
		t.Errorf("read %v", read)
	}
	if read, err = api.ResourceServer.Read(ctx, files.GetIdentifier()); err != nil || read.GetID() != files.GetID() {
		t.Errorf("by identifier: %v, %v", read, err)
	}
	must(t, api.ResourceServer.Update(ctx, files.GetID(), &sdk.ResourceServer{Name: auth0.String("All files")}))
	servers, err := api.ResourceServer.List(ctx)
	must(t, err)
	slices.SortFunc(servers.ResourceServers, func(a, b *sdk.ResourceServer) int { return strings.Compare(a.GetIdentifier(), b.GetIdentifier()) })
	if servers.Total != 2 || servers.ResourceServers[1].GetName() != "All files" || len(servers.ResourceServers[1].GetScopes()) != 2 {
		t.Fatalf("list %v", servers)
	}
	wantStatus(t, api.ResourceServer.Update(ctx, files.GetID(), &sdk.ResourceServer{Identifier: auth0.String("https://other/")}), 400)
	wantStatus(t, api.ResourceServer.Update(ctx, files.GetID(), &sdk.ResourceServer{SigningAlgorithm: auth0.String("HS256")}), 400)
	wantStatus(t, api.ResourceServer.Update(ctx, files.GetID(), &sdk.ResourceServer{SigningSecret: auth0.String("0123456789abcdef")}), 400)
	wantStatus(t, api.ResourceServer.Delete(ctx, servers.ResourceServers[0].GetID()), 403) // the management API itself

	approver := &sdk.Role{Name: auth0.String("approver"), Description: auth0.String("Approves")}
	must(t, api.Role.Create(ctx, approver))
	wantStatus(t, api.Role.Create(ctx, &sdk.Role{Name: auth0.String("approver")}), 409)
	must(t, api.Role.Update(ctx, approver.GetID(), &sdk.Role{Description: auth0.String("Approves files")}))
	if r, err := api.Role.Read(ctx, approver.GetID()); err != nil || r.GetName() != "approver" || r.GetDescription() != "Approves files" {
		t.Errorf("role %v, %v", r, err)
	}
	right := &sdk.Permission{ResourceServerIdentifier: files.Identifier, Name: auth0.String("approve:files")}
	must(t, api.Role.AssociatePermissions(ctx, approver.GetID(), []*sdk.Permission{right}))
	wantStatus(t, api.Role.AssociatePermissions(ctx, approver.GetID(), []*sdk.Permission{{ResourceServerIdentifier: files.Identifier, Name: auth0.String("no:such")}}), 400)
	rights, err := api.Role.Permissions(ctx, approver.GetID())
	must(t, err)
	if rights.Total != 1 || rights.Permissions[0].GetName() != "approve:files" || rights.Permissions[0].GetResourceServerName() != "All files" {
		t.Errorf("permissions %v", rights)
	}

	ann, ben := w.NewUser(t, "ann@example.org"), w.NewUser(t, "ben@example.org")
	must(t, api.User.AssignRoles(ctx, ann.ID, []*sdk.Role{approver}))
	must(t, api.Role.AssignUsers(ctx, approver.GetID(), []*sdk.User{{ID: &ben.ID}}))
	wantStatus(t, api.User.AssignRoles(ctx, ann.ID, []*sdk.Role{{ID: auth0.String("rol_none")}}), 400)
	wantStatus(t, api.Role.AssignUsers(ctx, approver.GetID(), []*sdk.User{{ID: auth0.String("perdure|none")}}), 404)
	members, err := api.Role.Users(ctx, approver.GetID())
	must(t, err)
	if members.Total != 2 || members.Users[0].GetEmail() == "" {
		t.Errorf("members %v", members)
	}
	roles, err := api.User.Roles(ctx, ann.ID)
	must(t, err)
	if roles.Total != 1 || roles.Roles[0].GetName() != "approver" {
		t.Errorf("roles %v", roles)
	}
	must(t, api.User.AssignPermissions(ctx, ann.ID, []*sdk.Permission{{ResourceServerIdentifier: files.Identifier, Name: auth0.String("read:files")}}))
	if rights, err = api.User.Permissions(ctx, ann.ID); err != nil || rights.Total != 2 || rights.Permissions[1].GetDescription() != "Read files" {
		t.Errorf("permissions of the user %v, %v", rights, err)
	}
	must(t, api.User.RemovePermissions(ctx, ann.ID, []*sdk.Permission{{ResourceServerIdentifier: files.Identifier, Name: auth0.String("read:files")}}))
	must(t, api.User.RemoveRoles(ctx, ann.ID, []*sdk.Role{approver}))
	if rights, err = api.User.Permissions(ctx, ann.ID); err != nil || rights.Total != 0 {
		t.Errorf("permissions of the user %v, %v", rights, err)
	}
	must(t, api.Role.RemovePermissions(ctx, approver.GetID(), []*sdk.Permission{right}))
	if rights, err = api.Role.Permissions(ctx, approver.GetID()); err != nil || rights.Total != 0 {
		t.Errorf("permissions of the role %v, %v", rights, err)
	}
	must(t, api.Role.Delete(ctx, approver.GetID()))
	if l, err := api.Role.List(ctx, sdk.Parameter("name_filter", "appro")); err != nil || l.Total != 0 {
		t.Errorf("roles %v, %v", l, err)
	}
	wantStatus(t, api.Role.Delete(ctx, approver.GetID()), 404)
	must(t, api.ResourceServer.Delete(ctx, files.GetID()))
}

func TestSDKClients(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	api := newSDK(t, w, everything())

	app := &sdk.Client{
		Name: auth0.String("Shop"), Description: auth0.String("Sells"), AppType: auth0.String("regular_web"),
		Callbacks: &[]string{"https://shop.example.org/callback"}, AllowedLogoutURLs: &[]string{"https://shop.example.org/"},
		WebOrigins: &[]string{"https://shop.example.org"}, GrantTypes: &[]string{"authorization_code", "refresh_token", "client_credentials"},
		TokenEndpointAuthMethod: auth0.String("client_secret_post"), OIDCConformant: auth0.Bool(true), IsFirstParty: auth0.Bool(true),
		JWTConfiguration: &sdk.ClientJWTConfiguration{LifetimeInSeconds: auth0.Int(3600), Algorithm: auth0.String("RS256")},
		RefreshToken: &sdk.ClientRefreshToken{
			RotationType: auth0.String("rotating"), ExpirationType: auth0.String("expiring"), Leeway: auth0.Int(5), TokenLifetime: auth0.Int(86400),
			IdleTokenLifetime: auth0.Int(3600), InfiniteTokenLifetime: auth0.Bool(false),
		},
		ClientMetadata: &map[string]any{"team": "blue"},
	}
	must(t, api.Client.Create(ctx, app))
	secret := app.GetClientSecret()
	if len(secret) < 40 || app.GetClientID() == "" {
		t.Errorf("created %v", app)
	}
	read, err := api.Client.Read(ctx, app.GetClientID())
	must(t, err)
	if read.ClientSecret != nil || read.GetName() != "Shop" || len(read.GetCallbacks()) != 1 || read.GetRefreshToken().GetLeeway() != 5 ||
		read.GetJWTConfiguration().GetLifetimeInSeconds() != 3600 || read.GetClientMetadata()["team"] != "blue" {
		t.Errorf("read %v", read)
	}
	must(t, api.Client.Update(ctx, app.GetClientID(), &sdk.Client{Description: auth0.String("Sells things"), RefreshToken: &sdk.ClientRefreshToken{Leeway: auth0.Int(7)}}))
	if read, err = api.Client.Read(ctx, app.GetClientID()); err != nil || read.GetDescription() != "Sells things" || read.GetRefreshToken().GetLeeway() != 7 ||
		read.GetRefreshToken().GetTokenLifetime() != 86400 || len(read.GetCallbacks()) != 1 {
		t.Errorf("updated %v, %v", read, err)
	}
	rotated, err := api.Client.RotateSecret(ctx, app.GetClientID())
	must(t, err)
	if rotated.GetClientSecret() == secret || len(rotated.GetClientSecret()) < 40 {
		t.Errorf("rotated %v", rotated)
	}
	list, err := api.Client.List(ctx, sdk.Parameter("app_type", "regular_web,spa"), sdk.Parameter("is_first_party", "true"))
	must(t, err)
	if list.Total != 1 || list.Clients[0].ClientSecret != nil {
		t.Errorf("list %v", list)
	}
	for _, bad := range []*sdk.Client{
		{Name: auth0.String("x"), RequirePushedAuthorizationRequests: auth0.Bool(true)},
		{Name: auth0.String("x"), ClientSecret: auth0.String("my own secret")},
		{Name: auth0.String("x"), CrossOriginAuth: auth0.Bool(true)},
		{Name: auth0.String("x"), IsTokenEndpointIPHeaderTrusted: auth0.Bool(true)},
		{Name: auth0.String("x"), RefreshToken: &sdk.ClientRefreshToken{RotationType: auth0.String("non-rotating")}},
		{Name: auth0.String("x"), RefreshToken: &sdk.ClientRefreshToken{InfiniteTokenLifetime: auth0.Bool(true)}},
		{Name: auth0.String("x"), RefreshToken: &sdk.ClientRefreshToken{Policies: &[]sdk.ClientRefreshTokenPolicy{{Audience: auth0.String("a")}}}},
		{Name: auth0.String("x"), GrantTypes: &[]string{"implicit"}},
		{Name: auth0.String("x"), JWTConfiguration: &sdk.ClientJWTConfiguration{Algorithm: auth0.String("HS256")}},
		{Name: auth0.String("x"), Callbacks: &[]string{"javascript:alert(1)"}},
		{Name: auth0.String("x"), ClientAuthenticationMethods: &sdk.ClientAuthenticationMethods{TLSClientAuth: &sdk.TLSClientAuth{}}},
		{},
	} {
		wantStatus(t, api.Client.Create(ctx, bad), 400)
	}

	w.NewAPI(t, "https://files.example.org/", "read:files", "write:files")
	grant := &sdk.ClientGrant{ClientID: app.ClientID, Audience: auth0.String("https://files.example.org/"), Scope: &[]string{"read:files"}}
	must(t, api.ClientGrant.Create(ctx, grant))
	wantStatus(t, api.ClientGrant.Create(ctx, &sdk.ClientGrant{ClientID: app.ClientID, Audience: grant.Audience, Scope: &[]string{}}), 409)
	wantStatus(t, api.ClientGrant.Create(ctx, &sdk.ClientGrant{ClientID: app.ClientID, Audience: auth0.String("https://x/"), Scope: &[]string{}}), 400)
	must(t, api.ClientGrant.Update(ctx, grant.GetID(), &sdk.ClientGrant{Scope: &[]string{"read:files", "write:files"}}))
	g, err := api.ClientGrant.Read(ctx, grant.GetID())
	must(t, err)
	if len(g.GetScope()) != 2 || g.GetAudience() != "https://files.example.org/" {
		t.Errorf("grant %v", g)
	}
	for parameter, want := range map[string]int{"client_id=" + app.GetClientID(): 1, "audience=https://files.example.org/": 1, "client_id=x": 0} {
		name, value, _ := strings.Cut(parameter, "=")
		if l, err := api.ClientGrant.List(ctx, sdk.Parameter(name, value)); err != nil || l.Total != want {
			t.Errorf("grants with %s: %v, %v", parameter, l, err)
		}
	}
	must(t, api.ClientGrant.Delete(ctx, grant.GetID()))
	wantStatus(t, api.ClientGrant.Delete(ctx, grant.GetID()), 404)
	must(t, api.Client.Delete(ctx, app.GetClientID()))
	_, err = api.Client.Read(ctx, app.GetClientID())
	wantStatus(t, err, 404)
}

// publicKey is a public key in PEM.
func publicKey(t testing.TB, key any) *string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	must(t, err)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return &text
}

func TestSDKCredentials(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	api := newSDK(t, w, everything())
	first, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	second, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(t, err)

	app := &sdk.Client{
		Name: auth0.String("Robot"), AppType: auth0.String("non_interactive"),
		ClientAuthenticationMethods: &sdk.ClientAuthenticationMethods{PrivateKeyJWT: &sdk.PrivateKeyJWT{
			Credentials: &[]sdk.Credential{{Name: auth0.String("one"), CredentialType: auth0.String("public_key"), PEM: publicKey(t, &first.PublicKey)}},
		}},
	}
	must(t, api.Client.Create(ctx, app))
	if app.ClientSecret != nil || len(*app.GetClientAuthenticationMethods().GetPrivateKeyJWT().Credentials) != 1 {
		t.Errorf("created %v", app)
	}
	added := &sdk.Credential{Name: auth0.String("two"), CredentialType: auth0.String("public_key"), PEM: publicKey(t, &second.PublicKey), Algorithm: auth0.String("ES256")}
	must(t, api.Client.CreateCredential(ctx, app.GetClientID(), added))
	wantStatus(t, api.Client.CreateCredential(ctx, app.GetClientID(), &sdk.Credential{CredentialType: auth0.String("public_key"), PEM: publicKey(t, &second.PublicKey)}), 409)
	all, err := api.Client.ListCredentials(ctx, app.GetClientID())
	must(t, err)
	if len(all) != 2 || all[0].GetAlgorithm() != "RS256" || all[1].GetID() != added.GetID() || all[1].GetName() != "two" || all[1].GetKeyID() == "" {
		t.Errorf("credentials %v", all)
	}
	if one, err := api.Client.GetCredential(ctx, app.GetClientID(), added.GetID()); err != nil || one.GetAlgorithm() != "ES256" {
		t.Errorf("credential %v, %v", one, err)
	}
	for _, bad := range []*sdk.Credential{
		{CredentialType: auth0.String("public_key"), PEM: publicKey(t, &weak.PublicKey)},
		{CredentialType: auth0.String("public_key"), PEM: publicKey(t, &second.PublicKey), Algorithm: auth0.String("RS256")},
		{CredentialType: auth0.String("public_key"), PEM: auth0.String("nothing")},
		{CredentialType: auth0.String("x509_cert"), PEM: publicKey(t, &second.PublicKey)},
		{CredentialType: auth0.String("public_key"), PEM: publicKey(t, &second.PublicKey), ParseExpiryFromCert: auth0.Bool(true)},
	} {
		wantStatus(t, api.Client.CreateCredential(ctx, app.GetClientID(), bad), 400)
	}
	// Which of them are good is said by their ids, as the client writes them.
	read, err := api.Client.Read(ctx, app.GetClientID())
	must(t, err)
	read.ClientAuthenticationMethods.PrivateKeyJWT.Credentials = &[]sdk.Credential{{ID: added.ID}}
	must(t, api.Client.Update(ctx, app.GetClientID(), &sdk.Client{ClientAuthenticationMethods: read.ClientAuthenticationMethods}))
	if all, err = api.Client.ListCredentials(ctx, app.GetClientID()); err != nil || len(all) != 1 {
		t.Errorf("credentials %v, %v", all, err)
	}
	wantStatus(t, api.Client.DeleteCredential(ctx, app.GetClientID(), added.GetID()), 400) // the last one
	wantStatus(t, api.Client.DeleteCredential(ctx, app.GetClientID(), "cred_none"), 404)
}

func TestSDKConnections(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	api := newSDK(t, w, everything())
	app, _ := w.NewApplication(t, &directory.Application{Name: "Shop"})

	staff := &sdk.Connection{
		Name: auth0.String("staff"), Strategy: auth0.String(sdk.ConnectionStrategyAuth0), EnabledClients: &[]string{app.ClientID},
		Options: &sdk.ConnectionOptions{
			DisableSignup: auth0.Bool(true), RequiresUsername: auth0.Bool(true), BruteForceProtection: auth0.Bool(true),
			PasswordComplexityOptions: map[string]any{"min_length": 14},
		},
	}
	must(t, api.Connection.Create(ctx, staff))
	wantStatus(t, api.Connection.Create(ctx, &sdk.Connection{Name: auth0.String("staff"), Strategy: auth0.String("auth0")}), 409)
	wantStatus(t, api.Connection.Create(ctx, &sdk.Connection{Name: auth0.String("x"), Strategy: auth0.String("facebook")}), 400)
	wantStatus(t, api.Connection.Create(ctx, &sdk.Connection{Name: auth0.String("x"), Strategy: auth0.String("auth0"), Options: &sdk.ConnectionOptions{
		CustomScripts: &map[string]string{"login": "function(){}"}, EnabledDatabaseCustomization: auth0.Bool(true),
	}}), 400)
	wantStatus(t, api.Connection.Create(ctx, &sdk.Connection{Name: auth0.String("x"), Strategy: auth0.String("auth0"), Options: &sdk.ConnectionOptions{
		BruteForceProtection: auth0.Bool(false),
	}}), 400)
	read, err := api.Connection.ReadByName(ctx, "staff")
	must(t, err)
	options, is := read.Options.(*sdk.ConnectionOptions)
	if !is || !options.GetDisableSignup() || options.PasswordComplexityOptions["min_length"] != 14.0 || len(read.GetEnabledClients()) != 1 {
		t.Errorf("read %v, %T", read, read.Options)
	}
	must(t, api.Connection.Update(ctx, staff.GetID(), &sdk.Connection{DisplayName: auth0.String("Staff")}))
	if read, err = api.Connection.Read(ctx, staff.GetID()); err != nil || read.GetDisplayName() != "Staff" || !read.Options.(*sdk.ConnectionOptions).GetRequiresUsername() {
		t.Errorf("updated %v, %v", read, err)
	}

	google := &sdk.Connection{
		Name: auth0.String("google"), Strategy: auth0.String(sdk.ConnectionStrategyOIDC),
		Options: &sdk.ConnectionOptionsOIDC{
			ClientID: auth0.String("us"), ClientSecret: auth0.String("hush hush"), Type: auth0.String("back_channel"),
			DiscoveryURL: auth0.String("https://accounts.example.org/.well-known/openid-configuration"), Scope: auth0.String("openid email"),
		},
	}
	must(t, api.Connection.Create(ctx, google))
	read, err = api.Connection.Read(ctx, google.GetID())
	must(t, err)
	upstream := read.Options.(*sdk.ConnectionOptionsOIDC)
	if upstream.GetIssuer() != "https://accounts.example.org" || upstream.ClientSecret != nil || upstream.GetScope() != "openid email" {
		t.Errorf("read %v", upstream)
	}
	secret := func() (text string) {
		w.Do(t, func(ctx context.Context) error {
			row, err := w.Connection(ctx, google.GetID())
			if err != nil {
				return err
			}
			text, err = w.ConnectionSecret(row)
			return err
		})
		return text
	}
	if secret() != "hush hush" {
		t.Errorf("the secret is %q", secret())
	}
	upstream.Scope = auth0.String("openid")
	must(t, api.Connection.Update(ctx, google.GetID(), &sdk.Connection{Options: upstream}))
	if secret() != "hush hush" {
		t.Errorf("the secret is %q after a change of scopes", secret())
	}
	upstream.Issuer = auth0.String("https://evil.example.org")
	wantStatus(t, api.Connection.Update(ctx, google.GetID(), &sdk.Connection{Options: upstream}), 400)
	upstream.TokenEndpoint, upstream.Issuer = auth0.String("https://evil.example.org/token"), auth0.String("https://accounts.example.org")
	wantStatus(t, api.Connection.Update(ctx, google.GetID(), &sdk.Connection{Options: upstream}), 400)

	must(t, api.Connection.UpdateEnabledClients(ctx, google.GetID(), []sdk.ConnectionEnabledClient{{ClientID: &app.ClientID, Status: auth0.Bool(true)}}))
	clients, err := api.Connection.ReadEnabledClients(ctx, google.GetID())
	must(t, err)
	if clients.Clients == nil || len(*clients.Clients) != 1 {
		t.Errorf("clients %v", clients)
	}
	offered, err := api.Client.ReadEnabledConnections(ctx, app.ClientID)
	must(t, err)
	if len(offered.Connections) != 3 {
		t.Errorf("connections of the client %v", offered.Connections)
	}
	if l, err := api.Connection.List(ctx, sdk.Parameter("strategy", "auth0")); err != nil || l.Total != 2 {
		t.Errorf("databases %v, %v", l, err)
	}

	// A user of the issuer upstream becomes one with Ann.
	ann := w.NewUser(t, "ann@example.org")
	var other *directory.User
	w.Do(t, func(ctx context.Context) (err error) {
		other, err = w.CreateUser(ctx, directory.Command, &directory.User{
			Connection: "google", Email: "ann@gmail.example.org", Identities: []directory.Identity{{Connection: "google", Provider: "oidc", UserID: "g|1/2"}},
		})
		return err
	})
	linked, err := api.User.Link(ctx, ann.ID, &sdk.UserIdentityLink{Provider: auth0.String("oidc"), UserID: auth0.String("g|1/2"), ConnectionID: google.ID})
	must(t, err)
	if len(linked) != 2 || linked[1].GetUserID() != "g|1/2" {
		t.Errorf("linked %v", linked)
	}
	_, err = api.User.Read(ctx, other.ID)
	wantStatus(t, err, 404)
	_, err = api.User.Link(ctx, ann.ID, &sdk.UserIdentityLink{Provider: auth0.String("oidc"), UserID: auth0.String("g|1/2")})
	wantStatus(t, err, 400)
	_, err = api.User.Link(ctx, ann.ID, &sdk.UserIdentityLink{LinkWith: auth0.String("eyJ")})
	wantStatus(t, err, 400)
	ben := w.NewUser(t, "ben@example.org")
	_, err = api.User.Link(ctx, ann.ID, &sdk.UserIdentityLink{Provider: auth0.String("auth0"), UserID: auth0.String(strings.TrimPrefix(ben.ID, "perdure|"))})
	wantStatus(t, err, 400)
	unlinked, err := api.User.Unlink(ctx, ann.ID, "oidc", "g|1/2")
	must(t, err)
	if len(unlinked) != 1 {
		t.Errorf("unlinked %v", unlinked)
	}
	wantStatus(t, api.Connection.Delete(ctx, w.connection(t, directory.DefaultConnection)), 409) // it has users
	must(t, api.Connection.Delete(ctx, google.GetID()))
	_, err = api.Connection.Read(ctx, google.GetID())
	wantStatus(t, err, 404)
}

// connection is the id of a connection.
func (w *world) connection(t testing.TB, name string) (id string) {
	w.Do(t, func(ctx context.Context) error {
		row, err := w.ConnectionByName(ctx, name)
		if err == nil {
			id = row.ID
		}
		return err
	})
	return id
}

func TestSDKLogsSessionsTicketsKeys(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	api := newSDK(t, w, everything())
	ann := w.NewUser(t, "ann@example.org")
	for i := range 5 {
		must(t, api.User.Update(ctx, ann.ID, &sdk.User{Nickname: auth0.Stringf("n%d", i)}))
	}
	logs, err := api.Log.List(ctx, sdk.PerPage(3))
	must(t, err)
	if len(logs) != 3 || logs[0].GetType() != "updated" || logs[0].Details["actor"] != "tester" || logs[0].GetClientID() != "client-of-tester" || logs[0].GetIP() != "127.0.0.1" {
		t.Errorf("logs %v", logs)
	}
	one, err := api.Log.Read(ctx, logs[0].GetLogID())
	must(t, err)
	if one.GetUserID() != ann.ID {
		t.Errorf("log %v", one)
	}
	own, err := api.User.GetUserLogs(ctx, ann.ID)
	must(t, err)
	if len(own) != 6 {
		t.Errorf("%d logs of the user", len(own))
	}
	if found, err := api.Log.Search(ctx, sdk.Parameter("q", `type:created AND user_id:"`+ann.ID+`"`)); err != nil || len(found) != 1 {
		t.Errorf("search %v, %v", found, err)
	}
	// Who copies the log goes on behind the last entry.
	var copied []string
	mark := []sdk.RequestOption{sdk.Take(2)}
	for {
		l, err := api.Log.List(ctx, mark...)
		must(t, err)
		if len(l) == 0 {
			break
		}
		for _, e := range l {
			copied = append(copied, e.GetLogID())
		}
		mark = []sdk.RequestOption{sdk.Take(2), sdk.From(copied[len(copied)-1])}
	}
	if len(copied) != w.entries(t) || !slices.IsSorted(copied) {
		t.Errorf("%d entries copied of %d: %v", len(copied), w.entries(t), copied)
	}

	w.Do(t, func(ctx context.Context) error {
		for _, id := range []string{"s1", "s2", "s3"} {
			s := &directory.Session{ID: id, UserID: ann.ID, Methods: []string{"pwd"}, Clients: []string{"c"}, Created: w.Now(), Expires: w.Now().Add(1e12)}
			if err := directory.Sessions.Insert(ctx, directory.Key(id), s); err != nil {
				return err
			}
		}
		return nil
	})
	sessions, err := api.User.ListUserSessions(ctx, ann.ID)
	must(t, err)
	if len(sessions.Sessions) != 3 || sessions.Sessions[0].GetUserID() != ann.ID {
		t.Errorf("sessions %v", sessions)
	}
	if s, err := api.Session.Read(ctx, "s1"); err != nil || s.GetID() != "s1" {
		t.Errorf("session %v, %v", s, err)
	}
	must(t, api.Session.Delete(ctx, "s1"))
	must(t, api.Session.Revoke(ctx, "s2"))
	if w.revoked != ann.ID+" s2" {
		t.Errorf("tokens revoked of %q", w.revoked)
	}
	wantStatus(t, api.Session.Delete(ctx, "s1"), 404)
	must(t, api.User.DeleteUserSessions(ctx, ann.ID))
	w.revoked = ""
	must(t, api.User.DeleteRefreshTokens(ctx, ann.ID))
	if w.revoked != ann.ID+" " {
		t.Errorf("tokens revoked of %q", w.revoked)
	}
	if sessions, err = api.User.ListUserSessions(ctx, ann.ID); err != nil || len(sessions.Sessions) != 0 {
		t.Errorf("sessions %v, %v", sessions, err)
	}

	ticket := &sdk.Ticket{UserID: &ann.ID, TTLSec: auth0.Int(60)}
	must(t, api.Ticket.VerifyEmail(ctx, ticket))
	if !strings.HasPrefix(ticket.GetTicket(), directorytest.Issuer+"u/verify") {
		t.Errorf("ticket %v", ticket)
	}
	must(t, api.Ticket.ChangePassword(ctx, &sdk.Ticket{ConnectionID: auth0.String(w.connection(t, directory.DefaultConnection)), Email: auth0.String("ann@example.org"), MarkEmailAsVerified: auth0.Bool(true)}))
	wantStatus(t, api.Ticket.ChangePassword(ctx, &sdk.Ticket{UserID: &ann.ID, ResultURL: auth0.String("https://evil.example.org")}), 400)
	wantStatus(t, api.Ticket.ChangePassword(ctx, &sdk.Ticket{UserID: auth0.String("perdure|none")}), 404)
	job := &sdk.Job{UserID: &ann.ID}
	must(t, api.Job.VerifyEmail(ctx, job))
	if job.GetStatus() != "completed" || w.mails != 1 {
		t.Errorf("job %v, %d mails", job, w.mails)
	}

	w.blocked = true
	if b, err := api.User.Blocks(ctx, ann.ID); err != nil || len(b) != 1 {
		t.Errorf("blocks %v, %v", b, err)
	}
	must(t, api.User.Unblock(ctx, ann.ID))
	if b, err := api.User.Blocks(ctx, ann.ID); err != nil || len(b) != 0 {
		t.Errorf("blocks %v, %v", b, err)
	}
	methods, err := api.User.ListAuthenticationMethods(ctx, ann.ID)
	must(t, err)
	if methods.Total != 2 || methods.Authenticators[1].GetName() != "Phone" {
		t.Errorf("authenticators %v", methods)
	}
	must(t, api.User.DeleteAuthenticationMethod(ctx, ann.ID, "f1"))
	wantStatus(t, api.User.DeleteAuthenticationMethod(ctx, ann.ID, "f1"), 404)
	must(t, api.User.DeleteAllAuthenticationMethods(ctx, ann.ID))

	w.Do(t, func(ctx context.Context) error {
		_, err := w.SigningKey(ctx, directory.RS256)
		return err
	})
	keys, err := api.SigningKey.List(ctx)
	must(t, err)
	if len(keys) != 1 || !keys[0].GetCurrent() {
		t.Errorf("keys %v", keys)
	}
	next, err := api.SigningKey.Rotate(ctx)
	must(t, err)
	if next.GetKID() == keys[0].GetKID() || !next.GetNext() {
		t.Errorf("next key %v", next)
	}
	w.Clock.Advance(directory.KeyLead)
	if next, err = api.SigningKey.Rotate(ctx); err != nil || !next.GetCurrent() {
		t.Errorf("rotated key %v, %v", next, err)
	}
	revoked, err := api.SigningKey.Revoke(ctx, keys[0].GetKID())
	must(t, err)
	if !revoked.GetRevoked() {
		t.Errorf("revoked key %v", revoked)
	}
	if k, err := api.SigningKey.Read(ctx, keys[0].GetKID()); err != nil || !k.GetRevoked() {
		t.Errorf("key %v, %v", k, err)
	}
}

func TestSDKErrors(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	_, err := newSDK(t, w, "read:roles").User.List(ctx)
	wantStatus(t, err, 403)
	if err == nil || !strings.Contains(err.Error(), "Insufficient scope, expected any of: read:users") {
		t.Errorf("got %v", err)
	}
	_, err = newSDK(t, w, "bad").User.List(ctx)
	wantStatus(t, err, 401)
	_, err = newSDK(t, w, "read:roles").Role.Read(ctx, "rol_1")
	wantStatus(t, err, 404)
}
