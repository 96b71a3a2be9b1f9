// Package auth says who sent a request and what they may do.
//
// It stands alone: a program that uses nothing else of Perdure can verify the tokens of
// any OpenID Connect issuer with it and guard its net/http handlers by policies.
//
// # Who
//
// A [Principal] is who sent a request. An [Authenticator] finds out who it is; a
// [Verifier] does so by the bearer token of the request (RFC 6750), which it checks as
// RFC 7519, RFC 8725 and RFC 9068 say. [From] returns the principal of a context.
//
// # What
//
// A [Policy] is a value: a requirement, or several combined.
//
//	auth.Permission("read:files")
//	auth.Any(auth.Role("admin"), auth.All(auth.Scope("files"), auth.Not(auth.Claim("suspended", true))))
//
// [Policy.Decide] applies it, without any server, and explains the [Decision].
package auth
