// Package certificates is the service of the vault's certificates, with the semantics of Azure Key Vault: policies by which
// versions are made, requests that wait for a signature from outside, imports, authorities of the vault's own, revocation,
// and renewal before the end.
//
// # Items
//
// A version of a certificate is three items of one name and version, written in one unit: the certificate, its key, and its
// secret, which has the certificate with the key as PKCS #12 or PEM; without the key where the policy says that it cannot
// be exported. The latter two are managed: they change with the certificate alone. The times of all three are those of the
// certificate itself.
//
// # Authorities
//
// A certificate whose policy has the key usage "keyCertSign" is an authority. An issuer of the provider "Perdure" signs by it: its
// AccountID is the authority's name. What an authority has signed can be revoked; its list is for everybody. Each version of an
// authority has a list of its own, because a list is signed by the key that signed the certificates. Whoever asks for an authority below
// another one needs the right to set issuers too, since whatever that one signs is trusted as the vault's.
//
// Database servers trust authorities of their own, which are out of reach of this package.
package certificates
