package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func (p *program) secretsExec(vault *string) *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use: "exec [flags] -- COMMAND [ARG...]", Short: "Run a command with secrets in its environment",
		Long: `Run a command with secrets as variables of its environment, and nowhere else. It takes
the place of this command: its signals, its exit code and its process are its own. Apart from
the secrets it finds the environment that there was.

Without --url they are read from the app on the data folder, as the operator. With it they
are read as the managed identity that IDENTITY_ENDPOINT and IDENTITY_HEADER stand for, or the
application of AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.`,
		Example: `  perdure secrets exec --secret DB_PASSWORD=db-password -- ./report
  perdure secrets exec --env-file report.env -- ./report
  perdure identity exec --identity Reports -- \
    perdure secrets exec --url https://default.vault.localhost:8200 --ca perdure-data/ca.pem --from-prefix report- -- ./report`,
		Args: atLeast(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			from, err := p.source(&s, *vault)
			if err != nil {
				return err
			}
			path, err := exec.LookPath(args[0])
			if err != nil { // before any secret was read
				return p.cannotRun(err)
			}
			all, err := s.read(ctx, from, p.hint)
			if err != nil {
				return err
			}
			return p.replace(path, args, withVariables(os.Environ(), all))
		}),
	}
	cmd.Flags().SetInterspersed(false)
	secretFlags(cmd, &s)
	return cmd
}

// withVariables returns an environment with variables in the place of those of the same names.
func withVariables(environment []string, all []variable) []string {
	environment = slices.DeleteFunc(slices.Clone(environment), func(one string) bool {
		name, _, _ := strings.Cut(one, "=")
		return slices.ContainsFunc(all, func(v variable) bool { return v.name == name })
	})
	for _, v := range all {
		environment = append(environment, v.name+"="+v.value)
	}
	return environment
}

// cannotRun is the exit code for a command that cannot be run, as shells have it.
func (p *program) cannotRun(err error) error {
	p.hint("perdure: %v", err)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return &exitError{exitUnknown}
	}
	return &exitError{exitCannotRun}
}
