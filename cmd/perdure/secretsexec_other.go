//go:build !unix

package main

import (
	"os/exec"
)

// replace runs a command, and ends as it does.
func (p *program) replace(path string, args, environment []string) error {
	cmd := exec.Command(path, args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = p.in, p.out, p.err, environment
	if err := cmd.Run(); cmd.ProcessState == nil {
		return p.cannotRun(err)
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		return &exitError{code}
	}
	return nil
}
