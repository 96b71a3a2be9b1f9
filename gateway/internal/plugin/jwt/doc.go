// Package jwt is Kong's plugin of that name: who sends a token (RFC 7519) is the consumer whose credential has
// the key that a claim of the token names, if the token is signed by that credential.
//
// Tokens that were verified are remembered, each by the SHA-256 of the whole of it, so that the signature of one
// that comes again is not computed again. What is remembered is bound to the settings by which the token was read
// and to the credential, and is of no use once that is changed or gone; nbf and exp are looked at each time.
package jwt
