package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

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

// upstreamError is the error of an attempt of which an endpoint is to be blamed. It names the endpoint.
type upstreamError struct {
	address, what string
	err           error
}

func (e *upstreamError) Error() string {
	if strings.Contains(e.what, e.address) { // "dial tcp ADDRESS: …"
		return e.what
	}
	return "upstream " + e.address + ": " + e.what
}
func (e *upstreamError) Unwrap() error { return e.err }

// limitError is a limit of time that has passed.
type limitError struct {
	what  string // with the limit's name
	limit time.Duration
	err   error
}

func (e *limitError) Error() string {
	return e.what + ", " + strconv.FormatInt(e.limit.Milliseconds(), 10) + " ms"
}
func (e *limitError) Unwrap() error { return e.err }

// named makes the error of an attempt say whose fault it is, and which limit of time has passed.
func (e *Endpoint) named(x *Exchange, err error) error {
	if err == nil || e.o.Handler != nil {
		return err
	}
	fault := FaultOf(err)
	if fault == NoFault {
		return err
	}
	what := err.Error()
	var limit *limitError
	switch {
	case fault != TimedOut || errors.As(err, &limit):
	case x.Timing.Head > x.Timing.Sent: // of this attempt
		what = (&limitError{"the answer has stopped for longer than read_timeout", e.o.Read, err}).Error()
	default:
		what = (&limitError{"no answer within read_timeout", e.o.Read, err}).Error()
	}
	return &upstreamError{e.o.Address, what, err}
}

// late names the limit of an operation, if it is that which has passed.
func late(what string, limit time.Duration, err error) error {
	var timeout net.Error
	if errors.Is(err, h1.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return &limitError{what, limit, err}
	}
	return err
}

const (
	noConnection = "no connection within connect_timeout"
	notTaken     = "the request was not taken within write_timeout"
)

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
