//go:build unix

package authority

import (
	"fmt"
	"os"
	"syscall"
)

// ownAs gives a file to the owner of a folder, so that the database server, whose the folder is, can read it.
func ownAs(f *os.File, folder string) error {
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return nil
	}
	if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
		return fmt.Errorf("folder %q belongs to another user, who is to own the files in it: do it as that user or as root: %w", folder, err)
	}
	return nil
}
