package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/telemetry"
	"github.com/perdure/perdure/internal/unit"
)

// defaultAttempts is how often a function runs when it keeps conflicting.
const defaultAttempts = 10

// Config is what functions need of the app.
type Config struct {
	// Title and Version stand in the OpenAPI document; the defaults are "API"
	// and "0".
	Title, Version string
	// Description stands there as well, in CommonMark.
	Description string
	// Env and Committer are what units of work are made of. They are used when
	// requests come, not before.
	Env       *unit.Env
	Committer unit.Committer
	// Bindings are the app's resources and injectors.
	Bindings binding.Env
	// Auth says who sends requests; nil for nobody, but whom the context of a request
	// carries.
	Auth auth.Authenticator
	// Policy is that of the functions that state none.
	Policy auth.Policy
	// Challenge, unless nil, may answer a request of nobody that would be refused, such as
	// by a redirect to where people sign in. It reports whether it did.
	Challenge func(w http.ResponseWriter, r *http.Request) bool
	// OpenIDConfiguration is the URL of the issuer's configuration, for the OpenAPI
	// document; empty if it is not known.
	OpenIDConfiguration string
	// Attempts bounds the runs of one request; default 10.
	Attempts int
	// Telemetry is told of each request. Nil tells nobody.
	Telemetry *telemetry.Telemetry
	// Clock says when event streams are silent; default the system's.
	Clock clock.Clock
	// Closing, unless nil, ends the event streams when it does.
	Closing context.Context
	// Log receives what callers are not told; default slog.Default().
	Log *slog.Logger
}

func (c *Config) attempts() int {
	if c.Attempts > 0 {
		return c.Attempts
	}
	return defaultAttempts
}

func (c *Config) clock() clock.Clock {
	if c.Clock != nil {
		return c.Clock
	}
	return clock.System()
}

func (c *Config) log() *slog.Logger {
	if c.Log != nil {
		return c.Log
	}
	return slog.Default()
}

// Register checks the functions and adds them to mux, with their OpenAPI document
// at /openapi.json. The error joins all that is wrong with any of them.
func Register(mux *http.ServeMux, cfg Config, functions ...*Function) error {
	var (
		routes []*route
		errs   []error
		names  = map[string]string{}
	)
	for _, f := range functions {
		if pattern, taken := names[f.name]; taken {
			errs = append(errs, fmt.Errorf("function %s: %s and %s have this name", f.name, pattern, f.pattern))
			continue
		}
		names[f.name] = f.pattern
		rt, err := f.compile(&cfg)
		if err == nil {
			err = handle(mux, "function "+f.name, f.pattern, observed(cfg.Telemetry, f.pattern, rt))
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		routes = append(routes, rt)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	doc, err := document(&cfg, routes)
	if err != nil {
		return err
	}
	return handle(mux, "OpenAPI document", "GET /openapi.json", doc)
}

// handle registers h; the panic with which http.ServeMux refuses a pattern
// becomes an error.
func handle(mux *http.ServeMux, what, pattern string, h http.Handler) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s: %v", what, v)
		}
	}()
	mux.Handle(pattern, h)
	return nil
}
