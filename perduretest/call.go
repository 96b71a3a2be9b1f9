package perduretest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// markers is the first byte of the keys that note which units of the test were committed.
// No space of the record layer has it.
const markers byte = 0xf0

// Unit runs fn in a unit of work of the app, lets the app come to rest, and ends the test
// if the unit fails. If the app crashes at its commit it is started again, and the unit is
// run again unless it was kept.
func (a *App) Unit(fn func(ctx context.Context) error) {
	a.t.Helper()
	if err := a.TryUnit(fn); err != nil {
		a.t.Fatalf("perduretest: unit: %v", err)
	}
}

// TryUnit is Unit for a test that asks about the error.
func (a *App) TryUnit(fn func(ctx context.Context) error) error {
	a.t.Helper()
	a.calls++
	marker := append([]byte{markers}, strconv.Itoa(a.calls)...)
	for {
		err := a.App.Unit(a.t.Context(), func(ctx context.Context) error {
			u, err := unit.From(ctx)
			if err != nil {
				return err
			}
			if done, err := u.Get(marker); done != nil || err != nil {
				return err
			}
			if err := fn(ctx); err != nil || u.ReadOnly() {
				return err
			}
			return u.Put(marker, []byte{1})
		})
		if a.revive() {
			continue
		}
		a.Settle()
		return err
	}
}

// Response is the app's answer to a request.
type Response struct {
	// Status is the HTTP status.
	Status int
	Header http.Header
	Body   []byte

	t    testing.TB
	what string
}

// Do sends a request to the app, without a network, and lets it come to rest. Body is
// nil, a string, []byte or io.Reader that is sent as it is, or anything else, which is
// sent as JSON. Header holds pairs of names and values, such as "Content-Type",
// "text/plain"; an empty value leaves a header out. A POST or PATCH carries an
// Idempotency-Key, so that it happens once even if the app crashes. Functions with NoUnit
// take none: leave it out there.
func (a *App) Do(method, path string, body any, header ...string) *Response {
	a.t.Helper()
	return a.do(nil, method, path, body, header)
}

// do sends a request of a principal, nil for whom its headers say.
func (a *App) do(who *auth.Principal, method, path string, body any, header []string) *Response {
	a.t.Helper()
	content, mediaType, err := encode(body)
	if err != nil {
		a.t.Fatalf("perduretest: %s %s: %v", method, path, err)
	}
	if len(header)%2 != 0 {
		a.t.Fatalf("perduretest: %s %s: the header %q has no value", method, path, header[len(header)-1])
	}
	a.calls++
	key := fmt.Sprintf("perduretest-%d", a.calls)
	for {
		ctx := a.t.Context()
		if who != nil {
			ctx = auth.With(ctx, who)
		}
		req := httptest.NewRequestWithContext(ctx, method, "http://"+host+path, bytes.NewReader(content))
		if mediaType != "" {
			req.Header.Set("Content-Type", mediaType)
		}
		if method == http.MethodPost || method == http.MethodPatch {
			req.Header.Set("Idempotency-Key", key)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
			if header[i+1] == "" {
				req.Header.Del(header[i])
			}
		}
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, req)
		if a.revive() {
			continue
		}
		a.Settle()
		return &Response{Status: w.Code, Header: w.Header(), Body: w.Body.Bytes(), t: a.t, what: method + " " + path}
	}
}

// encode returns what a body is sent as.
func encode(body any) (content []byte, mediaType string, err error) {
	switch b := body.(type) {
	case nil:
		return nil, "", nil
	case string:
		return []byte(b), "", nil
	case []byte:
		return b, "", nil
	case io.Reader:
		content, err = io.ReadAll(b)
		return content, "", err
	}
	content, err = json.Marshal(body)
	return content, "application/json", err
}

// Want ends the test unless the answer has this status.
func (r *Response) Want(status int) *Response {
	r.t.Helper()
	if r.Status != status {
		r.t.Fatalf("%s: status %d, want %d: %s", r.what, r.Status, status, strings.TrimSpace(string(r.Body)))
	}
	return r
}

// JSON decodes the answer's body into v, a pointer.
func (r *Response) JSON(v any) *Response {
	r.t.Helper()
	if err := json.Unmarshal(r.Body, v); err != nil {
		r.t.Fatalf("%s: %v in %s", r.what, err, r.Body)
	}
	return r
}

// DeadLetters returns the events that the app has given up, oldest first.
func (a *App) DeadLetters() []perdure.DeadLetter {
	a.t.Helper()
	var all []perdure.DeadLetter
	for cursor := ""; ; {
		letters, next, err := a.App.DeadLetters().List(a.t.Context(), "", cursor, 0)
		if err != nil {
			a.t.Fatalf("perduretest: dead letters: %v", err)
		}
		all = append(all, letters...)
		if next == "" {
			return all
		}
		cursor = next
	}
}

// WantNoDeadLetters ends the test if the app has given an event up.
func (a *App) WantNoDeadLetters() {
	a.t.Helper()
	var errs []error
	for _, l := range a.DeadLetters() {
		errs = append(errs, fmt.Errorf("%s: %s", l.Function, l.Reason))
	}
	if err := errors.Join(errs...); err != nil {
		a.t.Fatalf("events were given up: %v", err)
	}
}

// Fire runs a function by hand, as if its trigger had brought the event: a perdure.Tick
// for a timer ("timer/NAME"), a message for a queue ("queue/NAME"), a blob.Event for a
// blob. Function is the name that dead letters show. The event is sent as JSON, and
// handled by the function's policy. Events of streams are appended to them instead.
func (a *App) Fire(function string, event any) {
	a.t.Helper()
	payload, err := json.Marshal(event)
	if err != nil {
		a.t.Fatalf("perduretest: fire %s: %v", function, err)
	}
	a.Unit(func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		return u.Env().Deliver(u, &records.Delivery{Function: function, Topic: "by hand", Event: payload})
	})
}
