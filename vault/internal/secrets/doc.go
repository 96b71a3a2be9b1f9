// Package secrets is the service of secrets: rights, audit and the rules of the kind over package items.
//
// As in Azure Key Vault the times of a secret are for information: a version that has expired, or is not yet valid, is
// returned by Get, so that a new value can be tried and an old one looked up. A version that is disabled is not returned: model.ErrDisabled.
//
// A secret that belongs to a certificate can be read and listed here. It changes with the certificate alone: everything that would change
// it, and its backup, is model.ErrManaged.
package secrets
