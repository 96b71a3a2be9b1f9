//go:build !linux

package pgtest

import "os/exec"

// account is the operating system's user that the server runs as: who runs the test.
type account struct{}

func serverUser() (*account, error) { return &account{}, nil }

func (*account) own(string) error { return nil }

func (*account) command(program string, args ...string) *exec.Cmd {
	return exec.Command(program, args...)
}

func launch(c *exec.Cmd) (*server, error) {
	s := &server{ended: make(chan struct{})}
	if err := c.Start(); err != nil {
		return nil, err
	}
	s.process = c.Process
	go func() {
		s.err = c.Wait()
		close(s.ended)
	}()
	return s, nil
}
