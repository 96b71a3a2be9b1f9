package proxy

import (
	"context"
	"errors"

	"github.com/perdure/perdure/gateway/internal/h1"
)

// downstream is the client's side of an exchange.
type downstream interface {
	// inform sends an interim response.
	inform(status int, fields *h1.Fields) error
	// respond begins the answer; nothing need be written before flush or finish.
	respond(r *h1.Reply)
	write(p []byte) (int, error)
	flush() error
	finish(trailers *h1.Fields) error
	// abort ends the answer so that the client cannot take it for complete.
	abort()
	// withdraw takes an answer back, if nothing of it was sent.
	withdraw() bool
	// begun reports whether something of the answer was sent.
	begun() bool
	// close ends the connection after this answer.
	close()
	// buffered returns the whole of the request's body, if it has come.
	buffered() ([]byte, bool)
	// stopBody makes a wait for the request's body fail, and ends the connection after this answer.
	stopBody()
	// interruptBody is stopBody for other goroutines: the exchange's own must call close.
	interruptBody()
	// watch abandons a when the client leaves.
	watch(a h1.Abandoner)
	// switchTo answers 101 and passes bytes both ways until both have ended.
	switchTo(up *h1.ClientConn, fields *h1.Fields, x *Exchange) error
	// context is that of the connection or of the stream.
	context() context.Context
}

var errNoUpgrade = errors.New("HTTP/2 does not switch protocols")

// abandoner makes an Abandoner of a function.
type abandoner func()

func (f abandoner) Abandon() { f() }
