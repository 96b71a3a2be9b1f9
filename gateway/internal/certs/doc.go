// Package certs is TLS for the clients of a gateway: which certificate is shown for the name that a client asks
// for (SNI, RFC 6066 section 3), and for which names a client is asked for a certificate of its own.
//
// Build makes a Plan of a configuration. A Source has the plan of the day, and gives it to each handshake: one
// that has begun keeps the plan it began with, and connections are not touched.
package certs
