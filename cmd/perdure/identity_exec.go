package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// The times of a workload.
const (
	// renewEvery is well below the time after which the app ends a workload that nobody renews.
	renewEvery = 5 * time.Minute
	// endTimeout is how long the command waits for the app to end the workload.
	endTimeout = 5 * time.Second
)

// The exit codes of a command that could not be run, as shells have them.
const (
	exitCannotRun = 126
	exitUnknown   = 127
)

// inherited are the variables by which a command would find other identities than its own.
var inherited = []string{
	"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT", "IMDS_ENDPOINT", "MSI_ENDPOINT", "MSI_SECRET",
}

// exitError is the exit code of a command that was run.
type exitError struct{ code int }

// Error implements error.
func (e *exitError) Error() string { return fmt.Sprintf("the command has ended with %d", e.code) }

// workload is what the app is told of a workload.
type workload struct {
	Identities []string `json:"identities,omitempty"`
	UserID     int      `json:"uid"`
}

// begun is what the app says of it.
type begun struct {
	Endpoint string    `json:"endpoint"`
	ClientID string    `json:"client_id"`
	Expires  time.Time `json:"expires"`
}

func (p *program) identityExec() *cobra.Command {
	w := workload{UserID: os.Getuid()}
	cmd := &cobra.Command{
		Use: "exec [flags] -- COMMAND [ARG...]", Short: "Run a command as a managed identity",
		Long: `Run a command that can get tokens of a managed identity, by default that of the app, as
long as it runs. It finds IDENTITY_ENDPOINT and IDENTITY_HEADER in its environment,
as on Azure App Service, and so the clients of package azidentity need nothing more.
What is in IDENTITY_HEADER is good for processes of this Unix user alone.

The exit code is that of the command; 128 and the number of the signal that ended it.`,
		Args: atLeast(1),
		RunE: runs(func(ctx context.Context, args []string) error { return p.execute(context.WithoutCancel(ctx), w, args) }),
	}
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().StringArrayVar(&w.Identities, "identity", nil, "name of the identity; may come several times, the first is used unless the command names one")
	cmd.Flags().IntVar(&w.UserID, "uid", w.UserID, "Unix user id that the command changes to")
	return cmd
}

// execute runs a command as a workload. Only the digest of the secret goes to the app.
func (p *program) execute(ctx context.Context, w workload, args []string) error {
	secret := rand.Text()
	sum := sha256.Sum256([]byte(secret))
	path := providerPath + "workloads/" + hex.EncodeToString(sum[:])
	var b begun
	if err := p.ask(ctx, http.MethodPut, path, nil, &w, &b); err != nil {
		return err
	}
	defer p.endWorkload(ctx, path)

	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.in, p.out, p.err
	cmd.Env = append(slices.DeleteFunc(os.Environ(), isInherited), "IDENTITY_ENDPOINT="+b.Endpoint, "IDENTITY_HEADER="+secret)
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		p.hint("perdure: %v", err)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return &exitError{exitUnknown}
		}
		return &exitError{exitCannotRun}
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	renew := time.NewTicker(renewEvery)
	defer renew.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil && cmd.ProcessState == nil {
				return err
			}
			if code := exitCode(cmd.ProcessState); code != 0 {
				return &exitError{code}
			}
			return nil
		case s := <-signals:
			if !fromTerminal(s) {
				_ = cmd.Process.Signal(s) // it may have ended just now
			}
		case <-renew.C:
			if err := p.ask(ctx, http.MethodPut, path, nil, &w, nil); err != nil {
				p.hint("perdure: the workload is not renewed: %v", err)
			}
		}
	}
}

// endWorkload ends a workload. If the app cannot be told, it ends by itself.
func (p *program) endWorkload(ctx context.Context, path string) {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	if err := p.ask(ctx, http.MethodDelete, path, nil, nil, nil); err != nil {
		p.hint("perdure: the workload is not ended, which it will be by itself: %v", err)
	}
}

// isInherited reports whether a variable of the environment is not for the command.
func isInherited(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return slices.Contains(inherited, name)
}
