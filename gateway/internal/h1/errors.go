package h1

import (
	"errors"
	"net/http"
)

// ProtocolError is a message that breaks the rules. The connection that it came on is
// closed: where the next message begins is not certain.
type ProtocolError struct {
	// Status is what a server answers; what a client does not use.
	Status int
	// Reason says what is wrong, without anything that came from outside.
	Reason string
}

// Error implements error.
func (e *ProtocolError) Error() string { return e.Reason }

// The errors of connections.
var (
	// ErrClosed says that the peer has closed the connection before a message began.
	ErrClosed = errors.New("connection closed before a message")
	// ErrTruncated says that the peer has closed the connection inside a message.
	ErrTruncated = errors.New("connection closed inside a message")
	// ErrTimeout says that the peer took longer than it may.
	ErrTimeout = errors.New("peer took too long")
	// ErrBodyTooLarge says that a body is longer than its limit.
	ErrBodyTooLarge = errors.New("body is larger than its limit")
	// ErrPoolFull says that as many connections as may be are in use.
	ErrPoolFull = errors.New("all connections to the upstream are in use")
	// ErrTooMuch says that more was written of a body than was announced, and
	// ErrTooLittle that less was.
	ErrTooMuch   = errors.New("body is longer than its Content-Length")
	ErrTooLittle = errors.New("body is shorter than its Content-Length")
)

// errStale says that a kept connection was closed meanwhile. Nothing was sent.
var errStale = errors.New("connection was closed while it was not used")

func bad(reason string) *ProtocolError { return &ProtocolError{http.StatusBadRequest, reason} }

// What is refused. The values are fixed, so that a flood of bad requests costs
// nothing.
var (
	errLineEnd      = bad("line does not end in CRLF")
	errRequestLine  = bad("malformed request line")
	errMethod       = bad("method is not a token")
	errTarget       = bad("malformed request target")
	errVersion      = &ProtocolError{http.StatusHTTPVersionNotSupported, "HTTP version is not supported"}
	errStatusLine   = bad("malformed status line")
	errConnect      = &ProtocolError{http.StatusMethodNotAllowed, "CONNECT is not supported"}
	errFold         = bad("header field is folded over lines")
	errFieldName    = bad("malformed header field name")
	errFieldValue   = bad("control character in a header field")
	errHeadSize     = &ProtocolError{http.StatusRequestHeaderFieldsTooLarge, "head is too large"}
	errTargetSize   = &ProtocolError{http.StatusRequestURITooLong, "request target is too long"}
	errFields       = &ProtocolError{http.StatusRequestHeaderFieldsTooLarge, "too many header fields"}
	errNoHost       = bad("no Host")
	errTwoHosts     = bad("more than one Host")
	errHost         = bad("malformed Host")
	errLength       = bad("malformed Content-Length")
	errTwoLengths   = bad("more than one Content-Length")
	errCoding       = bad("malformed Transfer-Encoding")
	errOtherCoding  = &ProtocolError{http.StatusNotImplemented, "transfer coding is not supported"}
	errBothFramings = bad("both Content-Length and Transfer-Encoding")
	errOldCoding    = bad("Transfer-Encoding in HTTP/1.0")
	errExpectation  = &ProtocolError{http.StatusExpectationFailed, "expectation is not supported"}
	errChunkSize    = bad("malformed chunk size")
	errChunkExt     = bad("malformed chunk extension")
	errChunkExtSize = bad("chunk extensions are too large")
	errChunkEnd     = bad("chunk data does not end in CRLF")
	errTrailerSize  = bad("trailer section is too large")
	errSlow         = &ProtocolError{http.StatusRequestTimeout, "request did not come in time"}
)
