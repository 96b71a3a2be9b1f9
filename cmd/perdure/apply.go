package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// maxDocument bounds a document that is read, in bytes, as the provider does.
const maxDocument = 4 << 20

// documentBody is a document to apply.
type documentBody struct {
	Document string   `json:"document"`
	Prune    []string `json:"prune,omitempty"`
	Plan     bool     `json:"plan,omitempty"`
	Secrets  bool     `json:"secrets,omitempty"`
}

// documentAnswer is what a document changes.
type documentAnswer struct {
	Changes json.RawMessage `json:"changes"`
	Text    string          `json:"-"`
	Secrets []appSecret     `json:"secrets,omitempty"`
	changed bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *documentAnswer) UnmarshalJSON(text []byte) error {
	var all struct {
		Changes []json.RawMessage `json:"changes"`
		Text    string            `json:"text"`
		Secrets []appSecret       `json:"secrets"`
	}
	err := json.Unmarshal(text, &all)
	if err == nil {
		a.Text, a.Secrets, a.changed = all.Text, all.Secrets, len(all.Changes) > 0
		a.Changes, err = json.Marshal(all.Changes)
	}
	return err
}

// appSecret is the secret of an application that a document has made.
type appSecret struct {
	ClientID string `json:"client_id"`
	Name     string `json:"name"`
	Secret   string `json:"client_secret"`
}

func (p *program) applyCommand() *cobra.Command {
	var (
		dryRun, print bool
		out           string
		prune         []string
	)
	cmd := &cobra.Command{
		Use: "apply FILE", Short: "Make users, roles, applications and so on what a document says", Args: exactly(1),
		Long: `Make users, roles, applications and so on what a document says, YAML or JSON; - reads it
from standard input. What the document does not name stays as it is, but for kinds that
are pruned. All of it is done, or nothing. Applied again it changes nothing.

New applications have secrets that nobody knows, unless they are asked for by
--print-secrets or --secrets-out; "perdure apps rotate-secret" gives another one.`,
		RunE: runs(func(ctx context.Context, args []string) error {
			body := documentBody{Prune: prune, Plan: dryRun, Secrets: !dryRun && (print || out != "")}
			if dryRun {
				return p.difference(ctx, args[0], body)
			}
			return p.applyDocument(ctx, args[0], body, out)
		}),
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only show what would change, as diff does")
	cmd.Flags().BoolVar(&print, "print-secrets", false, "print the secrets of the applications that are made")
	cmd.Flags().StringVar(&out, "secrets-out", "", "write the secrets of the applications that are made to this new file")
	cmd.MarkFlagsMutuallyExclusive("print-secrets", "secrets-out")
	pruneFlag(cmd, &prune)
	return cmd
}

func pruneFlag(cmd *cobra.Command, prune *[]string) {
	cmd.Flags().StringSliceVar(prune, "prune", nil, "kinds of which everything is deleted that the document does not name: "+
		"apis, roles, applications, client_grants, connections, managed_identities, users")
}

func (p *program) diffCommand() *cobra.Command {
	var prune []string
	cmd := &cobra.Command{
		Use: "diff FILE", Short: "Show what apply would change; the exit code is 5 if it is something", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			return p.difference(ctx, args[0], documentBody{Prune: prune, Plan: true})
		}),
	}
	pruneFlag(cmd, &prune)
	return cmd
}

// sendDocument reads a document and has the app apply it.
func (p *program) sendDocument(ctx context.Context, file string, body documentBody) (answer documentAnswer, err error) {
	in := p.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return answer, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxDocument+1))
	if err == nil && len(text) > maxDocument {
		err = errors.New("the document is larger than 4 MiB")
	}
	if err != nil {
		return answer, err
	}
	body.Document = string(text)
	return answer, p.ask(ctx, http.MethodPost, providerPath+"apply", nil, body, &answer)
}

// difference shows what a document would change.
func (p *program) difference(ctx context.Context, file string, body documentBody) error {
	answer, err := p.sendDocument(ctx, file, body)
	if err != nil {
		return err
	}
	if err := p.show(answer, func() { p.lines(answer.Text) }); err != nil {
		return err
	}
	if answer.changed {
		return errFound
	}
	return nil
}

func (p *program) applyDocument(ctx context.Context, file string, body documentBody, out string) (err error) {
	var secrets *os.File
	if out != "" {
		// First: secrets that have no place to go to would be lost.
		if secrets, err = os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return err
		}
	}
	answer, err := p.sendDocument(ctx, file, body)
	made := len(answer.Secrets)
	if secrets != nil {
		err = keepSecrets(secrets, answer.Secrets, err)
		answer.Secrets = nil
	}
	if err != nil {
		return err
	}
	return p.show(answer, func() {
		p.lines(answer.Text)
		if !answer.changed {
			p.say("Nothing changed.")
		}
		for _, s := range answer.Secrets {
			p.say("client secret of %s (%s): %s", s.Name, s.ClientID, s.Secret)
		}
		if out != "" && made > 0 {
			p.say("The secrets of %d new applications are in %s.", made, out)
		}
	})
}

// keepSecrets writes secrets to a new file; without any, and after a failure, the file goes.
func keepSecrets(f *os.File, secrets []appSecret, failed error) error {
	if failed != nil || len(secrets) == 0 {
		return errors.Join(failed, f.Close(), os.Remove(f.Name()))
	}
	e := json.NewEncoder(f)
	e.SetIndent("", "  ")
	err := e.Encode(secrets)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("the document was applied, but the secrets could not be written; give new ones by perdure apps rotate-secret: %w", err)
	}
	return nil
}

func (p *program) exportCommand() *cobra.Command {
	var users bool
	cmd := &cobra.Command{
		Use: "export", Short: "Write a document of what is there, which apply takes", Args: exactly(0),
		Long: `Write a document of the APIs, roles, applications, grants, connections and managed
identities that are there. Applied to another app it makes that one the same. There are no
secrets in it, and nothing that belongs to the system.`,
		RunE: runs(func(ctx context.Context, _ []string) error {
			query := url.Values{}
			if users {
				query.Set("users", "true")
			}
			var answer struct {
				Document string `json:"document"`
			}
			if err := p.ask(ctx, http.MethodGet, providerPath+"export", query, nil, &answer); err != nil {
				return err
			}
			return p.show(answer, func() {
				if f, ok := p.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
					p.lines(answer.Document)
					return
				}
				fmt.Fprint(p.out, answer.Document) // to a file, as it is
			})
		}),
	}
	cmd.Flags().BoolVar(&users, "users", false, "also the users who have passwords here, without these")
	return cmd
}
