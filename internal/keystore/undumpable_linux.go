package keystore

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Undumpable keeps other processes of the same user from reading the memory of this one, and the environment that it was started
// with, which the system goes on showing after a variable was removed; it leaves no core dump either. It does nothing where
// the system has no such thing.
func Undumpable() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("keystore: make the process undumpable: %w", err)
	}
	return nil
}
