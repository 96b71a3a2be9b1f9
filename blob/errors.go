package blob

import (
	"errors"
	"time"

	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/unit"
)

// The errors of containers. Compare with errors.Is; the text names the container
// and the blob.
var (
	// ErrNotFound: there is no such blob.
	ErrNotFound = resource.ErrNotFound
	// ErrExists: a write that was to make a new blob found one.
	ErrExists = resource.ErrExists
	// ErrChanged: the blob is not the one that the ETag was taken of, or is gone.
	ErrChanged = resource.ErrChanged
	// ErrRange: a range that begins outside the bytes.
	ErrRange = errors.New("range outside the blob")
	// ErrTooLarge: the bytes are more than the limit that applies.
	ErrTooLarge = errors.New("too large")
	// ErrName: a name that no blob can have. The text says what a name looks
	// like.
	ErrName = errors.New("invalid blob name")
	// ErrWritten: one request body, or one staged file, was written to a second
	// name in the same unit. Write it once and read it back for the other.
	ErrWritten = errors.New("these bytes have been written to another name")
	// ErrMissing: the blob is there and its bytes are not: someone removed them
	// behind the store's back.
	ErrMissing = errors.New("the bytes of the blob are missing")
	// ErrNoStore: the app has no place for blobs.
	ErrNoStore = errors.New("the app has no blob store")
	// ErrNoLinks: the blob store cannot make signed URLs.
	ErrNoLinks = errors.New("the blob store makes no signed URLs")
	// ErrNoRanges: the blob store cannot read a part of a blob.
	ErrNoRanges = errors.New("the blob store reads no ranges")
	// ErrConflict: the blob was replaced or deleted while the unit of work ran.
	// Running the unit again reads the new state.
	ErrConflict = unit.ErrConflict
	// ErrNoUnit: the context carries no unit of work.
	ErrNoUnit = unit.ErrNoUnit
	// ErrUnitClosed: the unit of work has ended.
	ErrUnitClosed = unit.ErrUnitClosed
)

// The bounds of a container.
const (
	// DefaultMaxSize bounds a blob, in bytes, where MaxSize says nothing else.
	DefaultMaxSize = 64 << 20
	// MaxInMemory bounds a blob that a field of type []byte or string is filled
	// with, in bytes. A *Reader has no such bound.
	MaxInMemory = 64 << 20
	// MaxName bounds the name of a blob, in bytes.
	MaxName = 512
	// MaxContainerName bounds the name of a container, in bytes.
	MaxContainerName = 64
	// MaxMetadata bounds the keys and values of a blob's metadata, in bytes.
	MaxMetadata = 8 << 10
	// MaxExpiry bounds the life of a signed URL.
	MaxExpiry = 7 * 24 * time.Hour
	// DefaultExpiry is the life of a signed URL where Expires says nothing else.
	DefaultExpiry = time.Hour
)
