package vault

import (
	"errors"

	"github.com/perdure/perdure/vault/internal/model"
)

// The errors of the vault. Compare with errors.Is. Their texts name vaults, kinds, names and versions, never a value.
var (
	// ErrNotFound: there is no such item, or no such version.
	ErrNotFound = model.ErrNotFound
	// ErrForbidden: the caller may not do that. It says nothing of whether there is such an item.
	ErrForbidden = model.ErrForbidden
	// ErrDeleted: a deleted item has the name: recover it or purge it first.
	ErrDeleted = model.ErrDeleted
	// ErrExists: there is something already where nothing may be.
	ErrExists = model.ErrExists
	// ErrProtected: the vault's purge protection keeps deleted items until their time has come.
	ErrProtected = model.ErrProtected
	// ErrManaged: the item belongs to the certificate of the same name, and changes with that alone.
	ErrManaged = model.ErrManaged
	// ErrDisabled, ErrNotYetValid and ErrExpired: the version may not be used now.
	ErrDisabled    = model.ErrDisabled
	ErrNotYetValid = model.ErrNotYetValid
	ErrExpired     = model.ErrExpired
	// ErrOperation: the key is not for that operation, or its type cannot do it.
	ErrOperation = model.ErrOperation
	// ErrInvalid: a request cannot be.
	ErrInvalid = model.ErrInvalid
	// ErrTooMany: a bound is reached.
	ErrTooMany = model.ErrTooMany
	// ErrCiphertext: what was to be decrypted was changed, or was not encrypted by this key.
	ErrCiphertext = model.ErrCiphertext
	// ErrNoVault: the app has no vault (Config.Vault is nil), or does not run.
	ErrNoVault = errors.New("perdure: the app has no vault, or does not run")
)
