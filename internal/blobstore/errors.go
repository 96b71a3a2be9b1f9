package blobstore

import "errors"

// The errors of this package. Compare with errors.Is.
var (
	// ErrTooLarge: the bytes offered are more than the limit.
	ErrTooLarge = errors.New("perdure: blob is larger than its limit")
	// ErrLocked: another process, or another driver of this one, uses the
	// folder.
	ErrLocked = errors.New("blobstore: folder is in use by another process")
	// ErrStopped: syncing a folder failed earlier, so that nobody can say which
	// of its entries are durable. The driver creates and deletes no more until
	// it is opened again.
	ErrStopped = errors.New("blobstore: stopped after a failed sync")
	// ErrBadKey: the string is no object key.
	ErrBadKey = errors.New("blobstore: not an object key")
)
