package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// postgres is a private PostgreSQL cluster that listens on a Unix socket only.
type postgres struct {
	*process
	socketDir string
	user      string
}

// postgresSettings are the settings that differ from the server's own defaults, or must not differ from them.
var postgresSettings = []string{
	"fsync=on", "synchronous_commit=on", "full_page_writes=on",
	"listen_addresses=", "max_connections=200",
}

// startPostgres makes a cluster in dir unless there is one, and starts its server. PostgreSQL refuses to run as root,
// so root runs it as another user.
func startPostgres(ctx context.Context, dir string) (*postgres, error) {
	initdb, err := findPostgresProgram("initdb")
	if err != nil {
		return nil, err
	}
	program, err := findPostgresProgram("postgres")
	if err != nil {
		return nil, err
	}
	owner, credential, err := postgresUser()
	if err != nil {
		return nil, err
	}
	data, socketDir := filepath.Join(dir, "postgres"), filepath.Join(dir, "socket")
	if _, err := os.Stat(data); os.IsNotExist(err) {
		for _, folder := range []string{data, socketDir} {
			if err := os.Mkdir(folder, 0o700); err != nil {
				return nil, err
			}
			if credential != nil {
				if err := os.Chown(folder, int(credential.Uid), int(credential.Gid)); err != nil {
					return nil, err
				}
			}
		}
		command := exec.CommandContext(ctx, initdb, "--pgdata", data, "--username", owner, "--auth", "trust",
			"--encoding", "UTF8", "--no-locale")
		command.Dir = dir
		command.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
		if output, err := command.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("initdb: %w\n%s", err, output)
		}
	}
	args := []string{"-D", data, "-k", socketDir}
	for _, setting := range postgresSettings {
		args = append(args, "-c", setting)
	}
	command := exec.Command(program, args...)
	command.Dir = dir
	command.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	p := &postgres{socketDir: socketDir, user: owner}
	if p.process, err = startProcess(dir, command); err != nil {
		return nil, err
	}
	err = p.awaitReady(ctx, func(ctx context.Context) error {
		connection, err := pgx.Connect(ctx, p.url())
		if err != nil {
			return err
		}
		return connection.Close(ctx)
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// url is how to connect to the cluster.
func (p *postgres) url() string {
	return fmt.Sprintf("postgres://%s@/postgres?host=%s", p.user, p.socketDir)
}

// close stops the server the fast way, which ends open connections. It is safe to call on nil.
func (p *postgres) close() error {
	if p == nil {
		return nil
	}
	return p.stop(os.Interrupt)
}

// postgresVersion returns the version of the installed server, such as "15.18".
func postgresVersion() (string, error) {
	program, err := findPostgresProgram("postgres")
	if err != nil {
		return "", err
	}
	output, err := exec.Command(program, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask PostgreSQL for its version: %w", err)
	}
	fields := strings.Fields(string(output))
	if len(fields) < 3 {
		return "", fmt.Errorf("PostgreSQL's version is not understood: %q", output)
	}
	return fields[2], nil
}

// findPostgresProgram looks on the path and where Debian keeps the server's programs.
func findPostgresProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		return "", fmt.Errorf("%s is not installed; ./setup.sh installs PostgreSQL", name)
	}
	return found[len(found)-1], nil
}

// postgresUser returns the user that owns the cluster, and the credential to run as if that is not the present user.
func postgresUser() (string, *syscall.Credential, error) {
	if os.Geteuid() != 0 {
		current, err := user.Current()
		if err != nil {
			return "", nil, err
		}
		return current.Username, nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		if account, err = user.Lookup("nobody"); err != nil {
			return "", nil, fmt.Errorf("PostgreSQL does not run as root, and there is no other user: %w", err)
		}
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return "", nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return "", nil, err
	}
	return account.Username, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
