//go:build unix

package main

import "syscall"

// replace runs a command in the place of this one.
func (p *program) replace(path string, args, environment []string) error {
	return p.cannotRun(syscall.Exec(path, args, environment)) // it returns only when it fails
}
