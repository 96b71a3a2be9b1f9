// Package items keeps what secrets, keys and certificates have in common: named items with versions of which one is current,
// soft delete, backups and times of expiry. It knows no rights and writes no audit entries: that is for the services of the
// kinds. All but what says otherwise is called in a unit of work.
//
// # Names
//
// A name is the same in any case, as in Azure Key Vault, and is shown as it was given first.
//
// # Rows
//
// An item is a row by vault, kind and lower-case name, and has the id of its generation: what came to be when the name was
// given. Its versions are rows by that and the version's id. So a read of a version is two point reads, whichever version it is; a new
// one reads none of those before but for the place where it goes; a name can be given again while the item that had it waits for
// its purge; and deleting moves one row.
//
// # Deleted items
//
// Delete is always soft. A deleted item keeps its name for as long as it can be recovered: Add fails with model.ErrDeleted.
// In a vault that reuses names (Options.ReuseDeleted) Add makes a new item instead, and the deleted one can be recovered once nothing
// has the name: after the new item was deleted and purged. When several deleted items have had a name, the one deleted last is the
// one that Deleted, ListDeleted, Recover and Purge speak of; the next one comes up when that is gone. None of them is purged
// before its time because of another. When its time has come a deleted item is not found any more, whether PurgeDue has been there or not.
package items
