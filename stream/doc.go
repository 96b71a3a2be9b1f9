// Package stream keeps events of one Go type in order, for any number of functions
// that each read all of them.
//
// # Declare
//
// A stream is a package-level value that holds a name and types. It has no store:
// two apps in one process share nothing but the declaration.
//
//	var Names = stream.Of[Name]("names",
//		stream.Partitions(8),
//		stream.KeyBy(func(n Name) string { return n.Text }),
//		stream.Retain(7*24*time.Hour, 0))
//
// # Append
//
// Append takes the context that a function was called with. The events are committed
// with everything else the function writes, when it ends well. Appending reads
// nothing and conflicts with nobody.
//
//	err := Names.Append(ctx, Name{Text: "Ada"}, Name{Text: "Grace"})
//
// In a context without a unit every method fails with ErrNoUnit, and after the unit
// has ended with ErrUnitClosed.
//
// # Order
//
// A stream is made of partitions. In a partition each event has a position, 1, 2, 3
// and so on without gaps, in the order of commits. The key of an event chooses its
// partition, so the events of one key are in order, and each function handles them in
// it; events of different keys are handled side by side. An event without a key goes to
// any partition; those of one call go to the same one.
//
// # Read
//
// perdure.OnStream and perdure.OnStreamBatch let functions handle the events. Each of
// them reads all events, at its own pace, and remembers how far it has come in the same
// commit as what it writes. So a stream serves several functions, and one that is added
// later can begin with the first event that is kept. Read is for looking at events
// without handling them.
//
// # Keep
//
// Retain says how long events are kept, and how much. It removes no event that a
// function has still to read: a function that stands still keeps the events, and its lag
// grows (see Lag). With Hard the bounds hold all the same, and a function that is too
// slow passes over what is gone.
//
// # What is stored
//
// An event is stored as JSON by encoding/json. On reading, fields that T does not have
// are ignored, and fields that the JSON does not have are zero; so fields can be added
// and removed freely, but not change their type.
//
// # Bindings
//
// A stream can append the fields of what a function returns:
//
//	Name  Name              `bind:"names"`          // one event, its key by KeyBy
//	Names []Name            `bind:"names/{userId}"` // several, under this key
//	Event stream.Event[Name] `bind:"names"`         // one, with headers
package stream
