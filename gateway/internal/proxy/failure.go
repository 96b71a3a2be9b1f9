package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/perdure/perdure/gateway/internal/h1"
)

// ErrNoEndpoint says that no endpoint is there, or none is healthy.
var ErrNoEndpoint = errors.New("no healthy endpoint")

// errClientLeft says that the client has left: nobody is to be answered.
var errClientLeft = errors.New("client closed the connection")

// statusClientLeft is nginx's status of requests that nobody waits for any more.
const statusClientLeft = 499

// retryable is the error of an attempt that may be made again: nothing of a response has
// come, and sending the request twice does no harm.
type retryable struct{ err error }

func (e *retryable) Error() string { return e.err.Error() }
func (e *retryable) Unwrap() error { return e.err }

// failure returns what the client is told, in Kong's words.
func failure(err error) (status int, message string) {
	var timeout net.Error
	var body *bodyError
	switch {
	case errors.Is(err, h1.ErrBodyTooLarge):
		return http.StatusRequestEntityTooLarge, "Request size limit exceeded"
	case errors.As(err, &body) && errors.Is(err, h1.ErrTimeout):
		return http.StatusRequestTimeout, "Request timeout"
	case errors.As(err, &body):
		return http.StatusBadRequest, "Bad request"
	case errors.Is(err, ErrNoEndpoint):
		return http.StatusServiceUnavailable, "failure to get a peer from the ring-balancer"
	case errors.Is(err, h1.ErrPoolFull):
		return http.StatusServiceUnavailable, "The upstream server is currently unavailable"
	case errors.Is(err, h1.ErrTimeout), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return http.StatusGatewayTimeout, "The upstream server is timing out"
	}
	return http.StatusBadGateway, "An invalid response was received from the upstream server"
}

// bodyError is a request's body that could not be read: the client's fault.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "request body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// Fault says what an endpoint is to be blamed for after an attempt.
type Fault int

// The faults.
const (
	// NoFault: the attempt went well, or the client or this gateway ended it.
	NoFault Fault = iota
	// Broken: there was no connection, or it ended before the response did.
	Broken
	// TimedOut: the endpoint took too long.
	TimedOut
)

// FaultOf returns what the error of an attempt, which Balancer.Done is told, says of the endpoint.
func FaultOf(err error) Fault {
	if err == nil { // before there is anything to allocate
		return NoFault
	}
	var timeout net.Error
	var body *bodyError
	switch {
	case errors.Is(err, errClientLeft), errors.As(err, &body), errors.Is(err, h1.ErrPoolFull),
		errors.Is(err, h1.ErrBodyTooLarge), errors.Is(err, context.Canceled):
		return NoFault
	case errors.Is(err, h1.ErrTimeout), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return TimedOut
	}
	return Broken
}
