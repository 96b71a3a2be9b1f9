package problem

import (
	"encoding/json"
	"errors"
	"io"
)

// DecodeOne reads one JSON value without members that into does not have, and nothing behind it. The text of an error is fit for the
// sender, but that of reading itself, such as *http.MaxBytesError, which is found by errors.As.
func DecodeOne(r io.Reader, into any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	switch _, err := d.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil, errors.As(err, new(*json.SyntaxError)):
		return errors.New("want one JSON value and nothing behind it")
	default:
		return err
	}
}
