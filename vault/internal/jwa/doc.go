// Package jwa has the keys of the vault and what they can do, under the names of JSON Web Algorithms (RFC 7518, RFC 8037).
// It does no I/O and knows neither rights nor names: a *Key is one key, which signs, verifies, encrypts, decrypts, wraps and
// unwraps by the algorithms that its type has.
//
// What was asked for wrongly is a *model.FieldError; an algorithm that the key's type, curve or size does not have is
// model.ErrOperation; what does not decrypt is model.ErrCiphertext, which does not say why.
package jwa
