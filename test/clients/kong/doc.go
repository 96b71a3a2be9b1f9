// Package kong runs Kong's client for Go and the engine of decK, as they are, against the Admin API of a gateway. It has
// tests alone, and is a module of its own: the engine's own needs stay out of the SDK's go.mod.
package kong
