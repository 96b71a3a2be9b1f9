package poison

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// attachFile keeps the journal in memory and writes each change to the file, for
// systems without a shared mapping.
func (j *Journal) attachFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	content := make([]byte, fileWords*8)
	if _, err := io.ReadFull(f, content); err != nil {
		return errors.Join(err, f.Close())
	}
	j.words = make([]uint64, fileWords)
	for i := range j.words {
		j.words[i] = binary.NativeEndian.Uint64(content[i*8:])
	}
	j.flush = func(from, to int) {
		changed := make([]byte, 0, (to-from)*8)
		for _, word := range j.words[from:to] {
			changed = binary.NativeEndian.AppendUint64(changed, word)
		}
		// A failed write costs a suspicion, not an event.
		_, _ = f.WriteAt(changed, int64(from)*8)
	}
	j.done = f.Close
	return nil
}
