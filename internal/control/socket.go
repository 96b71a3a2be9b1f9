package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// SocketFile is the name of the socket in the data folder.
const SocketFile = "control.sock"

// maxSocketPath is the longest path of a socket that every system takes: Linux has 107
// bytes, macOS and the BSDs have 103.
const maxSocketPath = 103

// Socket is a socket that only its owner, and root, can connect to.
type Socket struct {
	net.Listener
	path string // of SocketFile
	made fs.FileInfo
	away string // a folder elsewhere that has the socket; empty when it is at path

	closeOnce sync.Once
	closeErr  error
}

// Listen makes the socket of a data folder, in place of one that a killed app has left:
// the caller must have the folder to itself. Where the folder cannot have a socket, for
// its path is too long or its file system has none, the socket lies in a private folder
// among the temporary files, and a symbolic link leads there.
func Listen(folder string) (*Socket, error) {
	path, err := filepath.Abs(filepath.Join(folder, SocketFile))
	if err != nil {
		return nil, err
	}
	// A socket gets its rights after it was made; in a private folder nobody sees it
	// before. Renaming it puts it in place of an old one in one step.
	private := filepath.Join(filepath.Dir(path), ".control")
	if err := remake(private); err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(private) }() // it is empty, or is made anew at the next start
	s := &Socket{path: path}
	next := filepath.Join(private, "s")
	if len(path) > maxSocketPath {
		err = fmt.Errorf("the path %q has more than %d bytes", path, maxSocketPath)
	} else {
		s.Listener, err = listenPrivate(next)
	}
	if err != nil {
		if awayErr := s.listenAway(next); awayErr != nil {
			return nil, errors.Join(err, awayErr)
		}
	}
	removeAway(path)
	if err = os.Rename(next, path); err == nil {
		s.made, err = os.Lstat(path)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// remake makes an empty private folder.
func remake(path string) error {
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return os.Mkdir(path, 0o700)
}

// listenPrivate makes a socket with mode 0600 in a folder that is private.
func listenPrivate(path string) (net.Listener, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it will have another name
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// listenAway makes the socket among the temporary files, and link leads there.
func (s *Socket) listenAway(link string) (err error) {
	if s.away, err = os.MkdirTemp("", "perdure-"); err != nil { // mode 0700
		return err
	}
	target := filepath.Join(s.away, SocketFile)
	if len(target) > maxSocketPath {
		err = fmt.Errorf("the folder for temporary files %q has too long a path: set TMPDIR to a shorter one", os.TempDir())
	} else if s.Listener, err = listenPrivate(target); err == nil {
		err = os.Symlink(target, link)
	}
	if err != nil {
		return errors.Join(err, s.closeAway())
	}
	return nil
}

// removeAway removes the socket that a link left by a killed app leads to.
func removeAway(link string) {
	target, err := os.Readlink(link)
	if err != nil || filepath.Base(target) != SocketFile {
		return
	}
	if info, err := os.Lstat(target); err == nil && info.Mode().Type() == fs.ModeSocket {
		_ = os.Remove(target)
	}
	_ = os.Remove(filepath.Dir(target)) // only if it is empty
}

// Close stops listening and removes the socket, unless another app has put its own there.
func (s *Socket) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Socket) close() error {
	var errs []error
	if now, err := os.Lstat(s.path); err == nil && s.made != nil && os.SameFile(now, s.made) {
		errs = append(errs, os.Remove(s.path))
	}
	return errors.Join(append(errs, s.closeAway())...)
}

func (s *Socket) closeAway() error {
	var errs []error
	if s.Listener != nil {
		errs = append(errs, s.Listener.Close())
	}
	if s.away != "" {
		errs = append(errs, os.RemoveAll(s.away))
	}
	return errors.Join(errs...)
}

// ErrNoApp: no app runs on a data folder.
var ErrNoApp = errors.New("no app runs")

// Dial connects to the app that runs on a data folder: ErrNoApp without one.
func Dial(ctx context.Context, folder string) (net.Conn, error) {
	path := filepath.Join(folder, SocketFile)
	if target, err := os.Readlink(path); err == nil {
		path = target
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOTDIR) {
		return nil, fmt.Errorf("%w on %q", ErrNoApp, folder)
	}
	return conn, err
}
