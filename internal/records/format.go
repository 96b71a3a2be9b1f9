package records

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrNewerRecord: a record was written by a newer release.
var ErrNewerRecord = errors.New("records: record is newer than this program")

// upgrades is how values of one noun that earlier releases wrote become what
// this one reads: upgrades[f] turns the body of a value of format f+1 into that of
// format f+2. The current format is one more than there are upgrades. A record is
// upgraded when it is read and stored in the new format when it is next written,
// so a new release opens an old store at once.
type upgrades []func(body []byte) ([]byte, error)

func (u upgrades) current() byte { return byte(len(u) + 1) }

// body returns the body of value in the current format: ErrNewerRecord when a
// newer release wrote it.
func (u upgrades) body(value []byte) ([]byte, error) {
	if len(value) == 0 || value[0] == 0 {
		return nil, errors.New("records: value without a format")
	}
	format, body := value[0], value[1:]
	if format > u.current() {
		return nil, fmt.Errorf("%w: format %d, known up to %d", ErrNewerRecord, format, u.current())
	}
	for ; format < u.current(); format++ {
		var err error
		if body, err = u[format-1](body); err != nil {
			return nil, fmt.Errorf("upgrade from format %d: %w", format, err)
		}
	}
	return body, nil
}

// encodeJSON returns the value of a record that is kept as JSON.
func (u upgrades) encodeJSON(record any) []byte {
	b, err := json.Marshal(record)
	if err != nil {
		panic("records: " + err.Error()) // records are types of this package, which all can be encoded
	}
	return append([]byte{u.current()}, b...)
}

// decodeJSON fills record, a pointer, from its value.
func (u upgrades) decodeJSON(value []byte, record any) error {
	body, err := u.body(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, record)
}
