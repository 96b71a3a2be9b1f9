package perduretest

import (
	"context"
	"log/slog"
)

// lastWords is the log of an app that ends with its store. A process that was killed
// writes no more, and what this one would write is that its store is dead.
type lastWords struct {
	slog.Handler
	store *mortal
}

// Enabled implements slog.Handler.
func (h *lastWords) Enabled(ctx context.Context, level slog.Level) bool {
	select {
	case <-h.store.died:
		return false
	default:
		return h.Handler.Enabled(ctx, level)
	}
}

// WithAttrs implements slog.Handler.
func (h *lastWords) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &lastWords{h.Handler.WithAttrs(attrs), h.store}
}

// WithGroup implements slog.Handler.
func (h *lastWords) WithGroup(name string) slog.Handler {
	return &lastWords{h.Handler.WithGroup(name), h.store}
}
