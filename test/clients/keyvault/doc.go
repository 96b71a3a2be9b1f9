// Package keyvault runs Microsoft's clients of Key Vault, as they are, against the vault of an app, with tokens that
// azidentity gets from the app's provider: as a managed identity and by a client secret. It has tests alone.
package keyvault
