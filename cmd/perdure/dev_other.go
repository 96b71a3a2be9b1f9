//go:build !unix

package main

import "os/exec"

func ownGroup(*exec.Cmd) {}

// interrupt ends the app: there is no signal that asks it to.
func interrupt(cmd *exec.Cmd) { kill(cmd) }

func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
