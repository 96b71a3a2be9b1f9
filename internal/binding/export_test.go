package binding

// ExpandTemplate parses a template and expands it with the values of its
// expressions.
func ExpandTemplate(text string, value func(expression string) string) (string, error) {
	t, err := parseTemplate(text)
	if err != nil {
		return "", err
	}
	return t.expand(func(e expr) (string, error) { return value(e.String()), nil })
}
