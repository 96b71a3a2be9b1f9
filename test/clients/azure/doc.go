// Package azure runs Microsoft's azidentity, as it is, against the provider of an app: as managed identities, which
// get their tokens on this machine, and by secrets, keys and the tokens of other issuers. It has tests alone.
package azure
