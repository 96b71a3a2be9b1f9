// Package h1 is HTTP/1.1 as RFC 9110 and RFC 9112 say, for a gateway: a strict
// parser of heads, chunked bodies, a server side and a client side. It is strict
// where two readers of one message could disagree about where it ends (request
// smuggling): what is not exactly as the grammar has it is refused, never mended,
// and the connection is closed.
//
// Nothing is allocated for an ordinary request. Heads are parsed in place, in
// pooled buffers that a connection holds only while it has bytes in them; time
// limits are kept by one goroutine for all connections (Sweeper) instead of timers
// set for each request.
//
// What aliases a buffer is a []byte, and is valid until the exchange ends; what is
// a string may be kept.
package h1
