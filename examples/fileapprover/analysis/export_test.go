package analysis

import (
	"bytes"
	"context"
)

// EXIFWithinBounds is the check that EXIF data must pass before it is parsed.
var EXIFWithinBounds = checkEXIF

// Clean is the cleaning of every value.
var Clean = clean

// Receive is the parent's reader of what a child sends: the entries, whether it was done, and the error.
func Receive(data []byte) ([]Entry, bool, error) {
	got, err := receive(bytes.NewReader(data))
	return got.result.Entries, got.done, err
}

type memorySource struct{ *bytes.Reader }

func (m memorySource) size() int64 { return m.Size() }

// InspectInProcess runs the readers of formats in this process, without limits and without OCR.
func InspectInProcess(data []byte) Result {
	var got Result
	f := &findings{send: func(fr frame) error {
		if fr.Entry != nil {
			got.Entries = append(got.Entries, *fr.Entry)
		}
		if fr.Thumbnail != nil {
			got.Thumbnail = fr.Thumbnail
		}
		return nil
	}}
	inspectSource(context.Background(), memorySource{bytes.NewReader(data)}, f, childOptions{})
	return got
}
