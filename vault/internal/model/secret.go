package model

// Secret is a version of a secret. Lists leave its Value empty.
type Secret struct {
	ID
	Attributes
	Value       string
	ContentType string
	Tags        map[string]string
	// Managed: it belongs to the certificate of the same name and version, whose key it has too.
	Managed  bool
	Previous string // the version before; empty for the first one
}

// SetSecret is a new value.
type SetSecret struct {
	Value string
	Change
}

// Deleted is an item that can be recovered, at its current version.
type Deleted[T any] struct {
	Item T
	Deletion
}
