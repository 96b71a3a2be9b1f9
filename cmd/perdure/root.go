package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

// dataEnv names the data folder, as it does for apps.
const dataEnv = "PERDURE_DATA"

// program is one call of the command.
type program struct {
	in       io.Reader
	out, err io.Writer

	data string
	json bool
}

// command returns the whole command.
func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "perdure",
		Short: "Make Perdure apps, and manage those that run",
		Long: `Make Perdure apps, and manage those that run.

An app is found by its data folder: --data, else PERDURE_DATA, else perdure-data
here. Only the user who started it can manage it.

Exit codes: 0 done, 1 failed or refused, 2 not asked well, 3 no app runs on the
folder, 4 what is named does not exist, 5 there are differences, or weaknesses.`,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	data := os.Getenv(dataEnv)
	if data == "" {
		data = "perdure-data"
	}
	root.PersistentFlags().StringVar(&p.data, "data", data, "data folder of the app")
	root.PersistentFlags().BoolVar(&p.json, "json", false, "answer in JSON")
	root.AddCommand(
		p.lsCommand(), p.getCommand(), p.historyCommand(), p.startCommand(), p.raiseCommand(),
		p.suspendCommand(), p.resumeCommand(), p.terminateCommand(), p.cancelCommand(), p.purgeCommand(),
		p.permissionsCommand(), p.deadLettersCommand(), p.queueCommand(), p.streamCommand(), p.tableCommand(),
		p.newCommand(), p.devCommand(), p.versionCommand(), p.identityCommand(),
		p.usersCommand(), p.rolesCommand(), p.apisCommand(), p.appsCommand(), p.grantsCommand(), p.connectionsCommand(),
		p.keysCommand(), p.logsCommand(), p.applyCommand(), p.diffCommand(), p.exportCommand(), p.doctorCommand(),
		p.vaultCommand(), p.secretsCommand(),
		p.dbCommand(), p.gatewayCommand(),
	)
	return root
}

// runs makes what a command does of a function.
func runs(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := do(cmd.Context(), args)
		if err == nil || errors.As(err, new(*usageError)) {
			return err
		}
		return &failedError{err}
	}
}

// exactly refuses another number of arguments than n by a line that says what they are.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("got %d of the arguments: %s", len(args), strings.TrimSuffix(cmd.UseLine(), " [flags]"))
		}
		return nil
	}
}

// atLeast refuses fewer than n arguments.
func atLeast(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return exactly(n)(cmd, args)
		}
		return nil
	}
}

// usageError is a mistake in an argument that shows itself late.
type usageError struct{ error }

// ask sends a request to the app and decodes its answer into out, unless that is nil.
func (p *program) ask(ctx context.Context, method, path string, query url.Values, body, out any) error {
	return control.NewClient(p.data).Do(ctx, method, path, query, body, out)
}

// tell sends a request whose answer has nothing in it, and says what was done.
func (p *program) tell(ctx context.Context, method, path string, body any, done string) error {
	if err := p.ask(ctx, method, path, nil, body, nil); err != nil {
		return err
	}
	return p.show(struct{}{}, func() { p.say("%s", done) })
}

// pages asks for a list until it has limit items, or all of them for zero.
func pages[T any](ctx context.Context, p *program, path string, query url.Values, limit int) (control.Page[T], error) {
	all := control.Page[T]{Items: []T{}}
	if query == nil {
		query = url.Values{}
	}
	client := control.NewClient(p.data)
	for {
		size := control.MaxPage
		if limit > 0 {
			size = min(size, limit-len(all.Items))
		}
		query.Set("limit", strconv.Itoa(size))
		query.Set("cursor", all.Next)
		var page control.Page[T]
		if err := client.Do(ctx, http.MethodGet, path, query, nil, &page); err != nil {
			return all, err
		}
		all.Items, all.Next = append(all.Items, page.Items...), page.Next
		if all.Next == "" || limit > 0 && len(all.Items) >= limit {
			return all, nil
		}
	}
}

// limitFlag adds the flag that bounds a list.
func limitFlag(cmd *cobra.Command, limit *int) {
	cmd.Flags().IntVar(limit, "limit", control.DefaultPage, "how many to show at most; 0 shows all")
}
