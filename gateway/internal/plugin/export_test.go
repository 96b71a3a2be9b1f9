package plugin

// Accepted is accepted.
func Accepted(accept string) string { return accepted(accept) }
