// Package pki is the vault's public key infrastructure (RFC 5280): what a policy may say, certificate requests
// (PKCS #10), self-signed certificates, authorities with their chains and revocation lists, and the files in which
// certificates travel (PEM, PKCS #12). It keeps nothing and asks no clock: the time is given.
package pki
