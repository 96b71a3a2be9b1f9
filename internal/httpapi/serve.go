package httpapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"runtime/debug"
	"time"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/failure"
	"github.com/perdure/perdure/internal/problem"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// ServeHTTP runs the function for one request.
func (rt *route) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r, admitted := rt.gate.admit(w, r)
	if !admitted {
		return
	}
	key, err := rt.idempotencyKey(r)
	if err != nil {
		rt.fail(w, r, err)
		return
	}
	req := binding.NewRequest(w, r, rt.maxBody)
	outcome := binding.Discarded
	defer func() { req.Settle(outcome) }()
	ctx, end := r.Context(), context.CancelFunc(func() {})
	if rt.output.Body != nil && rt.output.Body.Kind == binding.EventStream {
		ctx, end = rt.streamContext(r)
	}
	defer end()
	var res *binding.Response
	run := rt.runInUnit
	if rt.noUnit {
		run = rt.runAlone
	}
	res, outcome, err = run(ctx, req, key)
	if err != nil {
		rt.fail(w, r, err)
		return
	}
	rt.send(ctx, w, r, res)
}

// send sends the answer. One that breaks off ends the connection, so that its part is not
// taken for the whole.
func (rt *route) send(ctx context.Context, w http.ResponseWriter, r *http.Request, res *binding.Response) {
	_, err := rt.guarded(func() (*binding.Response, error) {
		if res.Events != nil && r.Method != http.MethodHead {
			return nil, rt.sendEvents(ctx, w, res)
		}
		return nil, res.Send(w, r.Method)
	})
	if err == nil {
		return
	}
	level := slog.LevelDebug // most often the client has left
	attrs := []any{"function", rt.name, "error", err}
	if r.Context().Err() == nil && res.Streams() {
		level = slog.LevelWarn
	}
	var panicked *panicError
	if errors.As(err, &panicked) {
		level, attrs = slog.LevelError, append(attrs, slog.String("stack", string(panicked.stack)))
	}
	rt.cfg.log().Log(r.Context(), level, "answer was not sent to its end", attrs...)
	if res.Streams() {
		panic(http.ErrAbortHandler)
	}
}

// runInUnit runs the function in a unit of work, again when it conflicts. The
// unit has ended when it returns.
func (rt *route) runInUnit(ctx context.Context, req *binding.Request, key string) (*binding.Response, binding.Outcome, error) {
	var res *binding.Response
	err := unit.Run(ctx, rt.cfg.Env, rt.cfg.Committer, rt.cfg.attempts(), func(ctx context.Context) (err error) {
		if res != nil { // of a run that conflicted
			res.Discard()
		}
		res, err = rt.guarded(func() (*binding.Response, error) { return rt.answer(ctx, req, key) })
		return err
	})
	if err == nil {
		return res, binding.Committed, nil
	}
	if res != nil {
		res.Discard()
	}
	if errors.Is(err, store.ErrOutcomeUnknown) {
		return nil, binding.Unknown, err
	}
	return nil, binding.Discarded, err
}

// runAlone runs a function that opens its units itself.
func (rt *route) runAlone(ctx context.Context, req *binding.Request, _ string) (*binding.Response, binding.Outcome, error) {
	res, err := rt.guarded(func() (*binding.Response, error) {
		in, err := rt.input.Decode(ctx, req)
		if err != nil {
			return nil, err
		}
		if err := rt.decide(ctx, in); err != nil {
			return nil, err
		}
		out, err := rt.call(ctx, in)
		if err != nil {
			return nil, err
		}
		return rt.output.Encode(out)
	})
	return res, binding.Unknown, err
}

// run is one run inside a unit, from the request to the encoded answer.
func (rt *route) run(ctx context.Context, req *binding.Request, in reflect.Value) (*binding.Response, error) {
	if err := rt.input.Load(ctx, req, in); err != nil {
		return nil, err
	}
	if err := rt.decide(ctx, in); err != nil {
		return nil, err
	}
	out, err := rt.call(ctx, in)
	if err != nil {
		return nil, err
	}
	if err := rt.output.Store(ctx, req, in, out); err != nil {
		return nil, err
	}
	return rt.output.Encode(out)
}

// panicError is a panic of user code.
type panicError struct {
	value any
	stack []byte
}

// Error implements error.
func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// guarded turns a panic into an error, so that the unit is discarded and the
// server goes on. http.ErrAbortHandler keeps its meaning.
func (rt *route) guarded(f func() (*binding.Response, error)) (res *binding.Response, err error) {
	defer func() {
		v := recover()
		if v == http.ErrAbortHandler { //nolint:errorlint // the very value, as net/http compares it
			panic(v)
		}
		if v != nil {
			res, err = nil, &panicError{v, debug.Stack()}
		}
	}()
	return f()
}

// fail answers with a problem and logs what the caller is not told.
func (rt *route) fail(w http.ResponseWriter, r *http.Request, err error) {
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		rt.gate.refuse(w, r, refused)
		return
	}
	log := rt.cfg.log().With("function", rt.name)
	var own *problem.Error
	slow := errors.As(err, &own) && own.Status == http.StatusRequestTimeout // the server ends such a request itself
	if r.Context().Err() != nil && !slow {
		log.DebugContext(r.Context(), "request ended before it was answered", "error", err)
		(&problem.Error{Status: http.StatusServiceUnavailable, Detail: "The request was given up.", RetryAfter: time.Second}).Write(w)
		return
	}
	id := rand.Text()
	p, hidden := failure.Problem(err, id)
	if hidden {
		attrs := []any{"id", id, "error", err}
		var panicked *panicError
		if errors.As(err, &panicked) {
			attrs = append(attrs, slog.String("stack", string(panicked.stack)))
		}
		log.ErrorContext(r.Context(), "function failed", attrs...)
	}
	if p.Status == http.StatusRequestEntityTooLarge {
		refuseBody(w, r, func() { p.Write(w) })
		return
	}
	p.Write(w)
}
