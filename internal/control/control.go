package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/failure"
	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/records"
)

// Prefix is the path that everything here lies below.
const Prefix = "/perdure/v1/"

// The bounds of requests and answers.
const (
	// DefaultPage is the length of a page for which no limit is given.
	DefaultPage = 50
	// MaxPage is the greatest length of a page.
	MaxPage = 200
	// maxPageBytes is the size of values after which a page ends early.
	maxPageBytes = 4 << 20
	// maxBody bounds a body that carries a payload, in bytes.
	maxBody = engine.MaxPayload + maxSmallBody
	// maxSmallBody bounds every other body, in bytes.
	maxSmallBody = 64 << 10
)

// App is what is managed. A kind that is nil answers 404.
type App struct {
	Info        func() (Info, error)
	Instances   Instances
	Functions   func() ([]Function, error)
	Permissions func() (Permissions, error)
	DeadLetters DeadLetters
	Queues      Queues
	Streams     Streams
	Tables      Tables
	Blobs       Blobs
	Timers      func(ctx context.Context) ([]Timer, error)
	// Log gets the causes that callers are not told. Default: slog.Default().
	Log *slog.Logger
}

// Page is a part of a list.
type Page[T any] struct {
	Items []T `json:"items"`
	// Next is the cursor of the next page; empty at the end.
	Next string `json:"next,omitempty"`
}

// server answers the requests of one app.
type server struct {
	App
	mux *http.ServeMux
}

// Handler serves what is below Prefix. It does not ask who calls: put it behind a socket
// that only the user can open, or behind Guard or Permitted.
func Handler(app App) http.Handler {
	if app.Log == nil {
		app.Log = slog.Default()
	}
	s := &server{App: app, mux: http.NewServeMux()}
	s.handle("GET info", func(*http.Request) (any, error) { return app.Info() })
	if app.Instances != nil {
		s.routeInstances()
	}
	if app.DeadLetters != nil {
		s.routeDeadLetters()
	}
	if app.Queues != nil {
		s.routeQueues()
	}
	if app.Streams != nil {
		s.routeStreams()
	}
	if app.Tables != nil {
		s.routeTables()
	}
	if app.Blobs != nil {
		s.routeBlobs()
	}
	s.list("GET functions", app.Functions != nil, func(context.Context) (any, error) { return all(app.Functions()) })
	if app.Permissions != nil {
		s.handle("GET permissions", func(*http.Request) (any, error) { return app.Permissions() })
	}
	s.list("GET timers", app.Timers != nil, func(ctx context.Context) (any, error) { return all(app.Timers(ctx)) })
	return httpapi.Problems(s.mux)
}

// named returns a name in a path. Path puts a "~" before those that no path can have as
// they are.
func named(r *http.Request, wildcard string) string {
	return strings.TrimPrefix(r.PathValue(wildcard), "~")
}

// list answers a list that has one page.
func (s *server) list(pattern string, there bool, answer func(context.Context) (any, error)) {
	if there {
		s.handle(pattern, func(r *http.Request) (any, error) {
			if err := readQuery(r).done(); err != nil {
				return nil, err
			}
			return answer(r.Context())
		})
	}
}

// all makes the one page of a list that has a place for everything.
func all[T any](items []T, err error) (any, error) {
	if items == nil {
		items = []T{}
	}
	return Page[T]{Items: items}, err
}

// answer handles a request. Nil is answered by 204.
type answer func(r *http.Request) (any, error)

// created is answered by 201.
type created struct{ body any }

// handle answers the requests that match pattern, whose path is below Prefix.
func (s *server) handle(pattern string, h answer) {
	method, path, _ := strings.Cut(pattern, " ")
	s.mux.HandleFunc(method+" "+Prefix+path, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		body, err := h(r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		status := http.StatusOK
		if c, ok := body.(created); ok {
			status, body = http.StatusCreated, c.body
		}
		writeJSON(w, status, body)
	})
}

// writeJSON writes an answer.
func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Cache-Control", "no-store")
	if body == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller left: nobody to tell
}

// refusals are the errors whose text is for the caller, who manages the app.
var refusals = []struct {
	err    error
	status int
}{
	{engine.ErrNotFound, http.StatusNotFound},
	{engine.ErrNotRegistered, http.StatusNotFound},
	{delivery.ErrNoDeadLetter, http.StatusNotFound},
	{engine.ErrExists, http.StatusConflict},
	{engine.ErrEnded, http.StatusConflict},
	{engine.ErrNotEnded, http.StatusConflict},
	{engine.ErrInvalid, http.StatusBadRequest},
	{delivery.ErrBadEvent, http.StatusBadRequest},
	{records.ErrCursor, http.StatusBadRequest},
	{engine.ErrStopped, http.StatusServiceUnavailable},
}

// refuse answers with a problem.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	for _, known := range refusals {
		if errors.Is(err, known.err) {
			problem.New(known.status, err.Error()).Write(w)
			return
		}
	}
	id := uuid.NewString()
	p, hidden := failure.Problem(err, id)
	if hidden {
		s.Log.Error("a control request failed", "method", r.Method, "path", r.URL.Path, "id", id, "error", err)
	}
	p.Write(w)
}

// missing is the answer where nothing is.
func missing(what, name string) error {
	return problem.New(http.StatusNotFound, fmt.Sprintf("there is no %s %q", what, name))
}

// readJSON reads a body of at most limit bytes that is one JSON value, which may be left
// out if optional.
func readJSON(r *http.Request, limit int64, optional bool, into any) error {
	b, err := readBody(r, limit)
	if err != nil {
		return err
	}
	if len(b) == 0 && optional {
		return nil
	}
	if err := problem.DecodeOne(bytes.NewReader(b), into); err != nil {
		return badBody(err.Error())
	}
	return nil
}

// readBody reads a body of at most limit bytes.
func readBody(r *http.Request, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, problem.TooLarge(limit)
	}
	return b, nil
}

// readPayload reads a body that is any JSON value; null when it is empty.
func readPayload(r *http.Request) (json.RawMessage, error) {
	b, err := readBody(r, engine.MaxPayload)
	if err != nil {
		return nil, err
	}
	if len(b) == 0 {
		return json.RawMessage("null"), nil
	}
	if !json.Valid(b) {
		return nil, badBody("want JSON")
	}
	return b, nil
}

func badBody(detail string) error {
	return problem.Invalid(problem.Fault{In: "body", Detail: detail})
}
