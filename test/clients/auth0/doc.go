// Package auth0 runs Auth0's Go SDK, as it is, against the provider: its management client with
// a machine's token, and its authentication client. It has tests alone.
package auth0
