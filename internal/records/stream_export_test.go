package records

// EncodeEvent and DecodeEvent give tests the encoding of events.
func EncodeEvent(e *Event) []byte { return e.encode() }

// DecodeEvent decodes the value of an event at a position.
func DecodeEvent(p Partition, position uint64, value []byte) (*Event, error) {
	e, err := decodeEvent(p, position, value)
	if e != nil {
		e.size = 0
	}
	return e, err
}
