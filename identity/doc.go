// Package identity is an OpenID Connect provider that runs inside an app: people sign in
// with passwords and passkeys, programs get tokens, and both get their rights from one place.
//
// It speaks OpenID Connect Core 1.0 and OAuth 2.0 with PKCE, refresh rotation, device code, client
// credentials and token exchange; has login, account and error pages; and a management API in the shapes of
// Auth0's v2. An app has one by perdure.Config.Identity:
//
//	app := perdure.New(perdure.Config{Identity: &identity.Config{
//		API:   identity.API{Identifier: "https://orders.example.com", Name: "Orders"},
//		Roles: []identity.Role{{Name: "clerk", Permissions: []string{"approve:orders"}}},
//	}})
//	app.Add(perdure.HTTP("POST /orders/{id}/approve", approve, perdure.Require(auth.Permission("approve:orders"))))
//
// Everything it knows lies in the app's store; what must not be read there is sealed under
// the master key, a file beside the data folder.
//
// There is no account until the first administrator is made: perdure users create-admin.
package identity
