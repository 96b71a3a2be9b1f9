package records

// The values of windows, decoded and encoded again.
var windowValues = map[string]func([]byte) ([]byte, error){
	"progress": func(value []byte) ([]byte, error) {
		p, err := decodeWindowProgress("f", value)
		if err != nil || p == nil {
			return nil, err
		}
		return p.encode(), nil
	},
	"mark": func(value []byte) ([]byte, error) {
		m, err := decodeWindowMark("f", value)
		if err != nil {
			return nil, err
		}
		return m.encode(), nil
	},
	"pane": func(value []byte) ([]byte, error) {
		p, err := decodePane(PaneKey{}, value)
		if err != nil {
			return nil, err
		}
		return p.encode(), nil
	},
	"shown": func(value []byte) ([]byte, error) {
		s, err := decodeShown("f", 0, value)
		if err != nil {
			return nil, err
		}
		return s.encode(), nil
	},
}

// WindowValues decodes a value as each kind there is, and encodes what came out.
func WindowValues(value []byte, visit func(kind string, again []byte, err error)) {
	for kind, recode := range windowValues {
		again, err := recode(value)
		visit(kind, again, err)
	}
}
