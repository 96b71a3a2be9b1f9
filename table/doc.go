// Package table keeps rows of one Go type under string keys, with secondary
// indexes, as part of a unit of work.
//
// # Declare
//
// A table is a package-level value that holds a name and types. It has no store:
// two apps in one process share nothing but the declaration.
//
//	type File struct {
//		Name    string
//		State   string
//		Created time.Time
//	}
//
//	var (
//		ByCreated = table.Index("byCreated", func(f *File) time.Time { return f.Created })
//		Files     = table.Of("files", ByCreated)
//	)
//
// # Read and write
//
// Every method takes the context that a function was called with. What it writes
// is committed with everything else the function writes, when the function ends
// well; what it read is validated then. If another unit changed a row in between,
// the function runs again, so a read and the write that depends on it need no
// lock:
//
//	err := Files.Update(ctx, fileID, func(f *File) error {
//		f.State = "approved"
//		return nil
//	})
//
// That a row is absent is validated as well: of two units that find no row and
// insert it, one runs again and finds it. PutBlind and DeleteBlind read nothing, and
// conflict with nobody.
//
// In a context without a unit every method fails with ErrNoUnit, and after the
// unit has ended with ErrUnitClosed.
//
// # Keys
//
// A key is the path of a row: "row", or "partition/row". See [Key] for names that
// contain "/" or "%".
//
// # Scan
//
// Scans are loops over rows in the order of their names, or of an index:
//
//	for row, err := range Files.ScanIndex(ctx, ByCreated.All(), table.Reverse(), table.Limit(20)) {
//		…
//	}
//
// [Page] collects one page and the cursor that the next one goes on from. Cursors
// stay good while rows come and go: no row that stays is skipped or repeated.
//
// # Expire
//
// [ExpireAfter] and [ExpiresAt] say when rows cease to exist:
//
//	Sessions = table.Of("sessions", table.ExpireAfter[Session](time.Hour))
//
// From then on nothing finds the row; soon after, it is removed.
//
// # Changes
//
// perdure.OnChange runs a function for each change of a row, and package live shows
// them to browsers. A table to which somebody listens notes each [Change] in the unit
// that makes it; another one does not.
//
// # What is stored
//
// A row is stored as JSON by encoding/json. On reading, fields that T does not
// have are ignored, and fields that the JSON does not have are zero; so fields
// can be added and removed freely, but not change their type. Writing a row drops
// the fields that T does not have. A row that cannot be decoded is an error that
// names the table and the key; it can still be put and deleted.
//
// # Bindings
//
// A table can fill and write the fields of a function's parameters:
//
//	Meta  File            `bind:"files/{fileId}"` // as input: the row; 404 if absent
//	Meta  *File           `bind:"files/{fileId}"` // as output: Put, unless nil
//	Meta  table.Row[File] `bind:"files/{fileId}"` // as input: the row with its ETag
package table
