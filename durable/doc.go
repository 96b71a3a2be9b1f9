// Package durable is the SDK for orchestrations: plain Go functions that survive
// crashes, call activities exactly once as far as Perdure's own data goes, and wait
// for people for as long as it takes.
//
// Activities, orchestrations and events are declared as typed names and implemented
// elsewhere:
//
//	var (
//		Charge   = durable.NewActivity[Order, Receipt]("Charge")
//		Approved = durable.NewEvent[Decision]("Approved")
//		Process  = durable.NewOrchestration[Order, Receipt]("Process")
//	)
//
//	func process(ctx *durable.Context, o Order) (Receipt, error) {
//		if d, err := Approved.Wait(ctx, durable.Within(72*time.Hour)); err != nil || !d.OK {
//			return Receipt{}, err
//		}
//		return Charge.Call(ctx, o, durable.Retry{Attempts: 5})
//	}
//
// An orchestration is replayed when it was evicted from memory or the process was
// restarted. So it must decide the same from the same history: it takes time, random
// numbers, ids and loggers from its *Context, and leaves everything else to
// activities and steps. Code that decides differently stalls its instances with an
// explanation; nothing is lost, and they go on when the code is mended.
//
// # Payloads
//
// Inputs, results and event payloads are JSON by encoding/json. A value of an earlier
// release is decoded as that package does: missing fields are zero, unknown fields are
// ignored, nothing at all is the zero value. So fields may be added and removed, not
// retyped. A value that cannot be decoded fails its call, or the instance whose input it
// is, with the code DecodeCode.
//
// # Errors
//
//	situation                                        error
//	a wait took longer than Within, WaitFor          ErrTimeout
//	an attempt took longer than StartToClose         ErrTimeout
//	the instance or the call was canceled            ErrCanceled
//	an activity failed for good                      *Error with its code
//	no instance with that id                         ErrNotFound
//	the id is taken by a different start             ErrExists
//	raise, terminate, … of an instance that ended    ErrEnded
//	purge of one that has not                        ErrNotEnded
//	no implementation added to the app               ErrNotRegistered
//	a method without Client outside a unit           ErrNoUnit
//	a waiting method inside a unit                   ErrInsideUnit
//	Complete with a token nobody waits for           ErrToken
package durable
