// Package window says how the events of a stream are aggregated by time: into which
// windows they fall, what is computed of them, and what becomes of the results. A window
// function is a part of an app, made by perdure.OnWindow:
//
//	perdure.OnWindow(Names, window.Tumbling(5*time.Second),
//		func(n Name) string { return n.First }, window.Count,
//		func(ctx context.Context, r window.Result[string, int]) error {
//			return Counts.Put(ctx, r.Key, &Count{r.Start, r.Value})
//		})
//
// # Windows
//
// [Tumbling], [Hopping], [Sliding] and [Session] cut the time of each key. The time of an
// event is when it was appended, or what [EventTime] says.
//
// # Aggregates
//
// [Count], [Sum], [Average], [Min], [Max], [Distinct], [Top] and [MostFrequent] are
// there; [Fold] is your own, and [Struct] computes several at once. What is
// stored of a window is the state of its aggregate, not the events.
//
// # When a window closes
//
// The watermark of a partition is the latest time of its events less [OutOfOrder]: earlier
// events are not expected. That of the function is the least of those of its partitions. When
// it has come to the end of a window, the window has its result. An event that comes after
// that is late: it is counted, handed to [Late], and not aggregated, unless [Lateness] keeps
// windows for a while.
//
// # Exactly once
//
// What is known of windows is written in the unit of work that takes the events from the
// stream. A result is handed over in the unit that closes the window. So each event
// counts once in each of its windows, and what the function for the results writes,
// sends, starts and raises happens once for each revision of a result, whatever crashes.
package window
