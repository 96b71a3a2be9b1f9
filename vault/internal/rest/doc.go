// Package rest is the REST interface of Azure Key Vault over the services of the vault, so that Key Vault's own clients
// work: paths, bodies, status codes and errors are Azure's, api-versions 7.0 to 2025-07-01. It knows no rights: the services
// ask the Guard.
//
// A request without a token is answered by a challenge before anything else of it is looked at. A host name stands for
// a vault. Lists of revoked certificates are there for everybody: who checks a certificate has no token.
package rest
