package model

import (
	"errors"
	"fmt"
)

// The errors of the vault. Compare with errors.Is. Their texts name vaults, kinds, names and versions, never a value.
var (
	// ErrNotFound: there is no such item, or no such version.
	ErrNotFound = errors.New("perdure: vault: not found")
	// ErrForbidden: the caller may not do that. It says nothing of whether there is such an item.
	ErrForbidden = errors.New("perdure: vault: forbidden")
	// ErrDeleted: a deleted item has the name: recover it or purge it first.
	ErrDeleted = errors.New("perdure: vault: the name belongs to a deleted item that can be recovered")
	// ErrExists: there is something already where nothing may be.
	ErrExists = errors.New("perdure: vault: exists already")
	// ErrProtected: the vault's purge protection keeps deleted items until their time has come.
	ErrProtected = errors.New("perdure: vault: purge protection")
	// ErrManaged: the item belongs to the certificate of the same name, and changes with that alone.
	ErrManaged = errors.New("perdure: vault: belongs to a certificate")
	// ErrDisabled, ErrNotYetValid and ErrExpired: the version may not be used now.
	ErrDisabled    = errors.New("perdure: vault: disabled")
	ErrNotYetValid = errors.New("perdure: vault: not yet valid")
	ErrExpired     = errors.New("perdure: vault: expired")
	// ErrOperation: the key is not for that operation (its key_ops), or its type cannot do it.
	ErrOperation = errors.New("perdure: vault: the key is not for this operation")
	// ErrInvalid: a request cannot be; a *FieldError matches it.
	ErrInvalid = errors.New("perdure: vault: invalid")
	// ErrTooMany: a bound is reached, such as MaxVersions.
	ErrTooMany = errors.New("perdure: vault: too many")
	// ErrCiphertext: what was to be decrypted was changed, or was not encrypted by this key and these parameters.
	ErrCiphertext = errors.New("perdure: vault: cannot be decrypted")
)

// FieldError says which part of a request cannot be, and the mend. It matches ErrInvalid.
type FieldError struct{ Field, Detail string }

// Error implements error.
func (e *FieldError) Error() string { return fmt.Sprintf("%v: %s: %s", ErrInvalid, e.Field, e.Detail) }

// Unwrap makes it match ErrInvalid.
func (e *FieldError) Unwrap() error { return ErrInvalid }
