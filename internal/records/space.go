// Package records is the record layer: the only place that knows how instances,
// history, timers, messages, rows, blobs and deliveries are laid out as keys and
// values of a store. Everything above it speaks of nouns; every store below it
// sees only bytes.
//
// Each value begins with a format byte, so that a later release can read what an
// earlier one wrote. Each file of this package holds one noun: its keys, its
// value's encoding and the operations on it.
package records

// The spaces of the key space. The first byte of every key is one of them. A
// number is never given a second meaning.
const (
	spaceMeta byte = 0x01 // counters of the record layer itself

	spaceInstance      byte = 0x10 // instance key → instance record
	spaceInstanceID    byte = 0x11 // instance id → instance key
	spaceInstanceState byte = 0x12 // state, creation time, instance key → the listing: is there work to resume?
	spaceHistory       byte = 0x13 // instance key, turn → history record
	spaceInbox         byte = 0x14 // instance key, arrival → message not yet consumed
	spaceTimer         byte = 0x16 // due time, instance key, sequence → what fires
	spaceTask          byte = 0x17 // instance key, sequence → attempts of an activity
	spaceKept          byte = 0x18 // instance id, arrival → event for an instance to come

	spaceRow         byte = 0x20 // table, partition, row → row
	spacePartition   byte = 0x21 // table, partition → counter of its changes
	spaceIndex       byte = 0x22 // table, index, indexed value, partition, row → where the row is
	spaceIndexChange byte = 0x23 // table, index → counter of its changes
	spaceExpiry      byte = 0x24 // time, table, partition, row: the row expires then

	spaceBlob        byte = 0x30 // container, name → object and metadata
	spaceObject      byte = 0x31 // object key → how many blobs name it, or that it is garbage
	spaceBlobGarbage byte = 0x32 // due time, object key: to be collected
	spaceBlobOwner   byte = 0x33 // by which name places for blobs know this store

	spaceDelivery        byte = 0x40 // function, rank, arrival → event to be handled now
	spaceDeadLetter      byte = 0x41 // function, arrival → event given up
	spaceRetry           byte = 0x42 // function, due time, rank, arrival → event to be handled later
	spaceDeadLetterCount byte = 0x43 // function, cause → counter of dead letters
	spaceLane            byte = 0x44 // function, hash of lane, arrival → where that delivery is
	spaceLaneGuard       byte = 0x45 // function, lane hash's remainder: written by additions
	spaceHeldLanes       byte = 0x46 // function → counter of lanes that a dead letter holds
	spaceDepth           byte = 0x47 // function → counter of deliveries
	spaceDedup           byte = 0x48 // function, hash of id → when it may come again
	spaceDedupExpiry     byte = 0x49 // expiry, function, hash of id

	spaceAnswer byte = 0x50 // idempotency key → stored HTTP answer

	spaceStream     byte = 0x60 // stream, partition → counter of its events; and position → event
	spaceCursor     byte = 0x61 // stream, function, partition → last position handled
	spaceGroup      byte = 0x62 // stream, function → registered consumer
	spaceSuspect    byte = 0x63 // stream, function, partition, position → counter of process deaths
	spaceStreamSize byte = 0x64 // stream, partition → counter of bytes appended
	spaceStreamTrim byte = 0x65 // stream, partition → what was removed of it

	spaceOutbox       byte = 0x68 // target → counter of what was sent there; and position → event that waits
	spaceOutboxOrigin byte = 0x69 // by which name readers of what was sent know this store
	spaceMirror       byte = 0x6A // source → how far it has been read
	spaceMirrorOrigin byte = 0x6B // source, origin → position of the latest event that came from there
	spaceMirrorTaken  byte = 0x6C // source, sequence: the message is stored and may come again

	spaceTicker byte = 0x70 // timer → which of its ticks has been published

	spaceWindow     byte = 0x78 // function → how far its windows are closed
	spaceWindowMark byte = 0x79 // function, partition → how far the event times have come
	spaceWindowPane byte = 0x7A // function, key, start, partition → state of an aggregate
	spaceWindowDue  byte = 0x7B // function, event time, key, start, what → windows to be looked at
	spaceWindowSoon byte = 0x7C // function, clock time, key, start → windows with early results
	spaceWindowShow byte = 0x7D // function, key, start → the latest result of a window
	spaceWindowLate byte = 0x7E // function → counter of late events
)
