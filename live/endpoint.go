package live

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/table"
)

// Endpoint is where browsers get the rows of a table and their changes. It is a
// declaration: an app that it is added to serves it.
type Endpoint struct {
	pattern string
	table   resource.Resource
	row     reflect.Type
	// decode reads a row, as a pointer to its type.
	decode func(data []byte) (any, error)
	// filter and partition are nil for everything.
	filter    func(*http.Request) (shows, error)
	partition func(*http.Request) (string, error)

	subscribers  int
	buffer       int
	heartbeat    time.Duration
	writeTimeout time.Duration
	errs         []error
}

// shows reports whether a subscriber may see a row.
type shows func(key table.Key, row any) bool

// The defaults of an endpoint.
const (
	// DefaultMaxSubscribers is how many may be connected at a time.
	DefaultMaxSubscribers = 1000
	// DefaultBuffer is how many changes wait for one subscriber.
	DefaultBuffer = 1024
	// DefaultHeartbeat is the time between two signs of life.
	DefaultHeartbeat = 15 * time.Second
	// writeTimeout is how long a client may take to accept a message.
	writeTimeout = 10 * time.Second
)

// Option configures an endpoint.
type Option func(*Endpoint)

// Table declares an endpoint that serves the rows of t and their changes to the requests
// that match pattern, written as for http.ServeMux: "GET /live/aggregates". A mistake
// is reported when the app starts.
func Table[T any](pattern string, t *table.Table[T], options ...Option) *Endpoint {
	e := &Endpoint{
		pattern: pattern, table: t, row: reflect.TypeFor[T](),
		decode:      func(data []byte) (any, error) { return t.DecodeRow(data) },
		subscribers: DefaultMaxSubscribers, buffer: DefaultBuffer, heartbeat: DefaultHeartbeat, writeTimeout: writeTimeout,
	}
	for _, o := range options {
		o(e)
	}
	return e
}

// Filter shows each subscriber some of the rows: choose is called once for a request
// and returns a function that says which; nil for all. It must be quick, must not change
// the row, and should depend on nothing but its arguments. An error refuses the request:
// a perdure.Problem chooses the answer, any other error is 403.
func Filter[T any](choose func(*http.Request) (func(key table.Key, row *T) bool, error)) Option {
	return func(e *Endpoint) {
		switch {
		case choose == nil:
			e.errs = append(e.errs, errors.New("Filter has no function"))
		case e.filter != nil:
			e.errs = append(e.errs, errors.New("there are two of Filter: put both conditions into one function"))
		case e.row != reflect.TypeFor[T]():
			e.errs = append(e.errs, fmt.Errorf("Filter is of %v, the rows are of %v", reflect.TypeFor[T](), e.row))
		}
		e.filter = func(r *http.Request) (shows, error) {
			show, err := choose(r)
			if err != nil || show == nil {
				return nil, err
			}
			return func(key table.Key, row any) bool { return show(key, row.(*T)) }, nil
		}
	}
}

// Partition shows each subscriber the rows of one partition of the table. An error
// refuses the request, as for Filter.
func Partition(of func(*http.Request) (string, error)) Option {
	return func(e *Endpoint) {
		if of == nil {
			e.errs = append(e.errs, errors.New("Partition has no function"))
		}
		e.partition = of
	}
}

// MaxSubscribers bounds how many are connected at a time. Others are answered 503.
func MaxSubscribers(n int) Option { return func(e *Endpoint) { e.subscribers = n } }

// Buffer sets how many changes may wait for a subscriber before it is disconnected as
// too slow.
func Buffer(changes int) Option { return func(e *Endpoint) { e.buffer = changes } }

// Heartbeat sets how often a connection gets a sign of life, which keeps proxies from
// ending it and shows that the client is there.
func Heartbeat(d time.Duration) Option { return func(e *Endpoint) { e.heartbeat = d } }

// Pattern returns what requests the endpoint answers.
func (e *Endpoint) Pattern() string { return e.pattern }

// Table returns the table whose rows it serves.
func (e *Endpoint) Table() resource.Resource { return e.table }

// check reports what is wrong with the declaration.
func (e *Endpoint) check() error {
	errs := e.errs
	if e.subscribers < 1 || e.buffer < 1 || e.heartbeat <= 0 {
		errs = append(errs, errors.New("MaxSubscribers, Buffer and Heartbeat are positive"))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("live endpoint %q: %w", e.pattern, err)
	}
	return nil
}
