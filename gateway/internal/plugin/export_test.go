package plugin

// Accepted is accepted.
func Accepted(accept string) string { return accepted(accept) }

// Marshal is marshal.
func Marshal(v any) ([]byte, error) { return marshal(v) }
