package plugin

// Values are settings that have been checked: of the types that the schema says, defaults filled in.
type Values map[string]any

// String returns a text, "" if there is none.
func (v Values) String(name string) string {
	s, _ := v[name].(string)
	return s
}

// Bool returns a boolean, false if there is none.
func (v Values) Bool(name string) bool {
	b, _ := v[name].(bool)
	return b
}

// Number returns a number; false if there is none.
func (v Values) Number(name string) (float64, bool) {
	n, ok := v[name].(float64)
	return n, ok
}

// Int returns a whole number, 0 if there is none.
func (v Values) Int(name string) int {
	n, _ := v.Number(name)
	return int(n)
}

// Strings returns a list of texts, nil if there is none.
func (v Values) Strings(name string) []string {
	list, _ := v[name].([]any)
	var texts []string
	for _, item := range list {
		if s, ok := item.(string); ok {
			texts = append(texts, s)
		}
	}
	return texts
}

// Record returns a record, which may be nil.
func (v Values) Record(name string) Values {
	m, _ := v[name].(map[string]any)
	return m
}
