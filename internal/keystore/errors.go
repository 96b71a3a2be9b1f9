package keystore

import "errors"

// The errors of this package. Compare with errors.Is. Their texts name files, ids and mends,
// never a key or a part of one.
var (
	// ErrMaster: the master key is missing or malformed, or its file is not safe.
	ErrMaster = errors.New("keystore: master key")
	// ErrWrongMaster: the keyring was wrapped by another master key.
	ErrWrongMaster = errors.New("keystore: wrong master key")
	// ErrKeyring: the keyring's file was changed or is not safe.
	ErrKeyring = errors.New("keystore: keyring")
	// ErrUnknownKey: the data key that sealed something is not in this keyring.
	ErrUnknownKey = errors.New("keystore: sealed by an unknown key")
	// ErrSealed: what was to be opened was changed, or sealed for another purpose.
	ErrSealed = errors.New("keystore: cannot be opened: changed, or sealed for another purpose")
	// ErrTooLarge: what was to be sealed or opened exceeds MaxPlain.
	ErrTooLarge = errors.New("keystore: too large to be sealed")
	// ErrPurpose: a purpose is empty or exceeds MaxPurpose.
	ErrPurpose = errors.New("keystore: a purpose has 1 to 1024 bytes")
	// ErrAuthority: the file of the certificate authority cannot be used.
	ErrAuthority = errors.New("keystore: certificate authority")
	// ErrName: a certificate is not made for a name that is not this machine's loopback.
	ErrName = errors.New("keystore: not a loopback name")
)
