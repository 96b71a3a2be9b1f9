package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// readIn reads a file, or standard input when name is empty, of at most so many bytes.
func (p *program) readIn(name string, most int64) ([]byte, error) {
	in := p.in
	if name != "" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("there are more than %d bytes", most)
	}
	return b, err
}

// writeOut writes to a new file that nobody else can read, or to standard output when name is empty.
func (p *program) writeOut(name string, data []byte) (err error) {
	if name == "" {
		_, err := p.out.Write(data)
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name)) // half of it is worse than nothing
	}
	p.hint("It is in %s.", name)
	return nil
}
