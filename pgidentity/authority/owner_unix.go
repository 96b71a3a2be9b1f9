//go:build unix

package authority

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

// readOwned reads a file of a folder, of which a copy will belong to the folder's owner. It follows no link and reads no file of another
// user, so that a process which may read everything hands nothing to that owner.
func readOwned(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("file %q is a link: put the file itself there", path)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	of, ok := info.Sys().(*syscall.Stat_t)
	in, also := folder.Sys().(*syscall.Stat_t)
	if !ok || !also || !info.Mode().IsRegular() || of.Uid != in.Uid {
		return nil, fmt.Errorf("file %q is to be a plain file of its folder's owner", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxHBA+1))
	if err == nil && len(text) > maxHBA {
		err = fmt.Errorf("file %q has more than %d bytes", path, maxHBA)
	}
	return text, err
}
