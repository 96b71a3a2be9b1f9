// Package queue keeps messages of one Go type until a function has handled them.
//
// # Declare
//
// A queue is a package-level value that holds a name and types. It has no store: two
// apps in one process share nothing but the declaration.
//
//	var Batches = queue.Of[Batch]("newnames",
//		queue.OrderBy(func(b Batch) string { return b.Customer }),
//		queue.Deduplicate(func(b Batch) string { return b.ID }, time.Hour))
//
// # Send
//
// Send takes the context that a function was called with. The messages are committed
// with everything else the function writes, when it ends well:
//
//	err := Batches.Send(ctx, batch, queue.Delay(time.Minute), queue.Priority(5))
//
// Sending conflicts with nobody, except that two senders of one id for de-duplication
// do. In a context without a unit every method fails with ErrNoUnit, and after the unit
// has ended with ErrUnitClosed.
//
// A queue declared with Prepare completes and checks its messages, whoever sends them and how.
//
// # Handle
//
// perdure.OnQueue names the function that handles the messages; a queue has one in an
// app. A message goes away in the commit of what the function writes. One that fails is
// tried again, and becomes a dead letter in the end, as the function's policy says. For
// several functions on the same events use a stream.
//
// Without a function a queue keeps its messages. Peek looks at them, Purge removes them,
// Depth and Age say how many there are and how long the oldest has waited.
//
// # Order
//
// Messages without a key are begun in the order of priority, then of arrival, many at a
// time. Those of one key are handled one after another, in the order of arrival: while
// one waits for its next attempt, or is a dead letter, those behind it wait as well,
// and all other keys go on. A policy with SkipDeadLetters lets a key go on behind its
// dead letters.
//
// # What is stored
//
// A message is stored as JSON by encoding/json. On reading, fields that T does not have
// are ignored, and fields that the JSON does not have are zero.
//
// # Bindings
//
// A queue can send the fields of what a function returns:
//
//	Batch Batch                  `bind:"newnames"`            // one message
//	Batch *Batch                 `bind:"newnames"`            // one, unless nil
//	Parts []Batch                `bind:"newnames/{customer}"` // several, of this key
//	Later *queue.Message[Batch]  `bind:"newnames"`            // one, with delay and so on
package queue
