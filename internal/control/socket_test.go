package control_test

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/perdure/perdure/internal/control"
)

// listen serves info on the socket of a folder.
func listen(t *testing.T, folder, title string) *control.Socket {
	t.Helper()
	s, err := control.Listen(folder)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: control.Handler(control.App{
		Info: func() (control.Info, error) { return control.Info{Title: title}, nil },
	})}
	done := make(chan struct{})
	go func() {
		_ = server.Serve(s) // ends with the test
		close(done)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return s
}

// title asks the app on a folder for its title.
func title(t *testing.T, folder string) (string, error) {
	t.Helper()
	var info control.Info
	err := control.NewClient(folder).Do(t.Context(), "GET", "info", nil, nil, &info)
	return info.Title, err
}

func TestSocket(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if _, err := title(t, folder); !errors.Is(err, control.ErrNoApp) {
		t.Errorf("an empty folder: %v, want ErrNoApp", err)
	}
	if _, err := title(t, filepath.Join(folder, "nothing")); !errors.Is(err, control.ErrNoApp) {
		t.Errorf("no folder: %v, want ErrNoApp", err)
	}
	s := listen(t, folder, "first")
	if got, err := title(t, folder); got != "first" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(folder); len(left) != 0 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
}

// A killed app leaves its socket. The next one takes its place, and the end of the first
// one, should it have lived on, does not end the second.
func TestStaleSocket(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	stale := filepath.Join(folder, control.SocketFile)
	first := listen(t, folder, "first")
	second := listen(t, folder, "second")
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if got, err := title(t, folder); got != "second" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: stale})
	if err := errors.Join(err, syscall.Close(fd)); err != nil {
		t.Fatal(err)
	}
	if _, err := title(t, folder); !errors.Is(err, control.ErrNoApp) {
		t.Errorf("a stale socket: %v, want ErrNoApp", err)
	}
	listen(t, folder, "third")
	if got, err := title(t, folder); got != "third" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// A folder with a path that is too long for a socket has a link to one.
func TestSocketOfLongPath(t *testing.T) { // sets TMPDIR
	folder := filepath.Join(t.TempDir(), strings.Repeat("long", 25))
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	temporary, err := os.MkdirTemp("/tmp", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temporary) })
	t.Setenv("TMPDIR", temporary)
	killed := listen(t, folder, "killed")
	if got, err := title(t, folder); got != "killed" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	target, err := os.Readlink(filepath.Join(folder, control.SocketFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{target: fs.ModeSocket | 0o600, filepath.Dir(target): fs.ModeDir | 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	s := listen(t, folder, "next")
	if got, err := title(t, folder); got != "next" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := errors.Join(s.Close(), killed.Close()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(temporary); len(left) != 0 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}

	t.Setenv("TMPDIR", folder)
	if _, err := control.Listen(folder); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("got %v, want what to do about it", err)
	}
}

// A link that somebody else made is followed to a socket, and nothing else is removed.
func TestForeignLink(t *testing.T) {
	t.Parallel()
	folder, other := t.TempDir(), t.TempDir()
	precious := filepath.Join(other, control.SocketFile)
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, filepath.Join(folder, control.SocketFile)); err != nil {
		t.Fatal(err)
	}
	listen(t, folder, "app")
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}
