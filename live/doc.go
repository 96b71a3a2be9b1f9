// Package live pushes the rows of a table and their changes to browsers, by
// server-sent events and by WebSocket.
//
// # Declare
//
// An endpoint is added to an app like a function:
//
//	app.Add(live.Table("GET /live/aggregates", Aggregates))
//
// A request for it is answered without end: by the WebSocket protocol if it asks for
// that (RFC 6455), else by server-sent events (WHATWG HTML, section 9.2). The app also
// serves a small module for pages, /perdure/live.js, which speaks both:
//
//	import { connect } from "/perdure/live.js";
//	const aggregates = connect("/live/aggregates", {
//	  change: rows => draw(rows), // a Map from key to row
//	});
//
// # What a browser gets
//
// First the rows as they are, then each change once it is durable: nothing is left out
// and nothing comes twice. The messages are
//
//	reset      what follows replaces everything known
//	changes    a list of {"kind":"put","key":…,"row":…,"time":…} and {"kind":"delete","key":…,"time":…}
//	ready      the rows are complete up to here
//	slow       the client took too long and is disconnected; it may come back
//	end        the server stops; the client may come back
//	heartbeat  nothing happened (WebSocket only; server-sent events carry a comment)
//
// A server-sent event has the list as its data. A WebSocket message is an object with
// the fields event, id and changes. A key is a path, see table.Key. The changes of one
// partition of the table come in the order of their commits. A row that ceased to exist
// by its expiry is a delete.
//
// # Come back
//
// Messages carry an id, which stands for a place in the change feed. Who connects
// with the last one, as the header Last-Event-ID or the parameter resume, gets what has
// happened since; if that is not kept any more, it begins with reset. A browser's
// EventSource does so by itself.
//
// # Who may see what
//
// [Filter] decides for each request which rows it shows, and may refuse it. A row that
// comes to be shown by a change is put, and one that ceases to be is a delete: nothing
// else of it is told. [Partition] shows one partition of the table.
//
// A page of another site is refused, unless Config.TrustedOrigins has its origin.
package live
