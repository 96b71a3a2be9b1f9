package rest

// Split is split, for the fuzz target.
func Split(escaped string) ([]string, bool) { return split(escaped) }

// CheckJSON is checkJSON, for the fuzz target.
func CheckJSON(body []byte) error { return checkJSON(body) }
