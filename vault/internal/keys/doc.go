// Package keys is the service of keys: rights, audit and the rules of the kind over packages items and jwa. The private part of
// a key is sealed at rest and never leaves: callers get what the key makes of their bytes.
//
// A key is for what its ops say, as key_ops of RFC 7517 names it. A version that is disabled does nothing. One that has
// expired, or is not valid yet, neither signs nor encrypts nor wraps, but still verifies, decrypts and unwraps, as in Azure Key
// Vault: what was made with it does not become worthless.
//
// A key that belongs to a certificate is used here like any other. It changes with the certificate alone: everything that would
// change it, and its backup, is model.ErrManaged.
package keys
