// Package model has the nouns of the vault: what is kept, who asks for what, and what can go wrong.
// It does no I/O. Names and bounds are those of Azure Key Vault, whose clients the vault serves.
package model
