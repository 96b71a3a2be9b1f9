// Package login signs people in to a web application on the server side, at any OpenID
// Connect issuer: authorization code with state, nonce and PKCE, an encrypted session in a
// [Store], renewal of tokens, logout here and at the issuer.
//
//	l, err := login.New(login.Config{
//		Issuer:       "https://example.auth0.com/",
//		ClientID:     "…",
//		ClientSecret: "…",
//		BaseURL:      "http://localhost:8080",
//	})
//	…
//	l.Mount(mux)                      // /login, /login/callback, /logout
//	mux.Handle("/", l.Require(pages)) // browsers sign in; auth.From(r.Context()) says who it is
//
// At the issuer, register BaseURL + "/login/callback" as redirect URI, and BaseURL + "/" as
// the URI to come back to after logout.
//
// # Who it is
//
// A [Login] is an [auth.Authenticator], so auth.First(verifier, l) lets an API be called with
// bearer tokens and by the application's own pages. With Config.Audience the principal is that
// of the access token for it, verified as a bearer token is, with the name that the ID token
// gives; without, it is made of the claims of the ID token.
//
// # What the browser gets
//
// A random cookie, and no token. The store knows the cookie's SHA-256 and a sealed
// record. One exception is what the protocol asks for: at logout the browser carries the ID token to the
// issuer, which has said it to this browser's user already.
//
// # Requests of other sites
//
// The cookie is SameSite=Lax, and a request that may change something, or opens a WebSocket, counts as the
// session's only if it comes from the same origin (Sec-Fetch-Site and Origin, as
// [http.CrossOriginProtection] reads them): two defences, of which each suffices in every browser of
// the last years, so forms need no token. GET, HEAD and OPTIONS must not change anything.
package login
