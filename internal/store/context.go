package store

import "context"

type contextKey struct{}

// With returns a context by which From finds s: how a test kit gives an app its store,
// so that it outlives the app.
func With(ctx context.Context, s Store) context.Context {
	return context.WithValue(ctx, contextKey{}, s)
}

// From returns the store that ctx carries; nil when it carries none.
func From(ctx context.Context) Store {
	s, _ := ctx.Value(contextKey{}).(Store)
	return s
}
