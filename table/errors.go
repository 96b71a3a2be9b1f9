package table

import (
	"errors"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/unit"
)

// The errors of tables. Compare with errors.Is; the text names the table and, if
// there is one, the row.
var (
	// ErrNotFound: there is no such row.
	ErrNotFound = resource.ErrNotFound
	// ErrExists: Insert found a row.
	ErrExists = resource.ErrExists
	// ErrChanged: the row is not the one that the ETag was taken of.
	ErrChanged = resource.ErrChanged
	// ErrKey: a key that names no row. The text says what a key looks like.
	ErrKey = errors.New("invalid key")
	// ErrTooLarge: a row, key, indexed value or batch exceeds its bound.
	ErrTooLarge = errors.New("too large")
	// ErrIndexed: a blind write to a table with indexes.
	ErrIndexed = errors.New("blind write to a table with indexes: they could not be kept right without reading the row; use Put or Delete")
	// ErrCursor: a cursor that is damaged or was made by another kind of scan.
	ErrCursor = records.ErrCursor
	// ErrNoUnit: the context carries no unit of work.
	ErrNoUnit = unit.ErrNoUnit
	// ErrUnitClosed: the unit of work has ended.
	ErrUnitClosed = unit.ErrUnitClosed
)

// The bounds of a table.
const (
	// MaxRow bounds the JSON of a row, in bytes.
	MaxRow = 1 << 20
	// MaxKey bounds partition and row together, in bytes. A zero byte counts
	// twice.
	MaxKey = 512
	// MaxIndexed bounds an indexed string, in bytes. A zero byte counts twice.
	MaxIndexed = 256
	// MaxName bounds the names of tables and indexes, in bytes.
	MaxName = 64
	// MaxBatch bounds the rows of one GetAll, PutAll or DeleteAll.
	MaxBatch = 10_000
)
