//go:build !unix

package main

import "os"

// forwarded are the signals that go on to a command that is run: the only one there is comes to it by itself.
var forwarded = []os.Signal{os.Interrupt}

// fromTerminal reports whether a signal goes to the command itself as well.
func fromTerminal(os.Signal) bool { return true }

// exitCode is that of a process.
func exitCode(s *os.ProcessState) int { return s.ExitCode() }
