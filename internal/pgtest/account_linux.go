package pgtest

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
)

// account is the operating system's user that the server runs as.
type account struct{ credential *syscall.Credential } // nil: who runs the test

// serverUser chooses it: PostgreSQL refuses to run as root, who can hand its programs to another user.
func serverUser() (*account, error) {
	if os.Geteuid() != 0 {
		return &account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &account{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}

// own gives a file to the account.
func (a *account) own(path string) error {
	if a.credential == nil {
		return nil
	}
	return os.Chown(path, int(a.credential.Uid), int(a.credential.Gid))
}

// command is a program that runs as the account, with an environment that configures nothing.
func (a *account) command(program string, args ...string) *exec.Cmd {
	c := exec.Command(program, args...)
	c.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential, Setpgid: true}
	return c
}

// launch starts a program that ends when this process does, however that comes.
func launch(c *exec.Cmd) (*server, error) {
	c.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	s, started := &server{ended: make(chan struct{})}, make(chan error)
	go func() {
		runtime.LockOSThread() // the signal comes when the thread ends that started the program
		defer runtime.UnlockOSThread()
		err := c.Start()
		s.process = c.Process
		started <- err
		if err == nil {
			s.err = c.Wait()
			close(s.ended)
		}
	}()
	return s, <-started
}
