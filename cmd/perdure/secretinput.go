package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxSecret bounds a secret that is read, in bytes.
const maxSecret = 4096

// secretFromInput reads a secret that comes in: what stands on a command line can be seen by every user of the
// machine. One end of line is no part of it.
func (p *program) secretFromInput(what string) (string, error) {
	b, err := io.ReadAll(io.LimitReader(p.in, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("read the %s: %w", what, err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	switch {
	case text == "":
		return "", &usageError{fmt.Errorf("there is no %s on standard input", what)}
	case len(b) > maxSecret:
		return "", &usageError{fmt.Errorf("the %s is longer than %d bytes", what, maxSecret)}
	case strings.ContainsAny(text, "\r\n"):
		return "", &usageError{fmt.Errorf("the %s on standard input has more than one line", what)}
	}
	return text, nil
}

// askSecret asks for a new secret twice, on a terminal that does not show it.
func (p *program) askSecret(ctx context.Context, what string) (string, error) {
	f, ok := p.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", &usageError{fmt.Errorf("standard input is no terminal to ask for the %s: give it there, with --password-stdin", what)}
	}
	first, err := p.hidden(ctx, f, "New "+what+": ")
	if err != nil {
		return "", err
	}
	second, err := p.hidden(ctx, f, "Once more: ")
	if err != nil {
		return "", err
	}
	switch {
	case first == "":
		return "", &usageError{fmt.Errorf("the %s is empty", what)}
	case first != second:
		return "", &usageError{fmt.Errorf("the two are not the same %s", what)}
	}
	return first, nil
}

// hidden reads a line that the terminal does not show.
func (p *program) hidden(ctx context.Context, f *os.File, prompt string) (string, error) {
	fd := int(f.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	fmt.Fprint(p.err, prompt)
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		read <- line{text, err}
	}()
	select {
	case <-ctx.Done(): // the program ends, and with it the read
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	case got := <-read:
		fmt.Fprintln(p.err)
		return string(got.text), got.err
	}
}
