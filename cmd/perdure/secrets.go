package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// maxSecretValue bounds a secret of a vault, in bytes.
const maxSecretValue = 25 << 10

// secretKind is how paths name secrets.
const secretKind = "secrets"

func (p *program) secretsCommand() *cobra.Command {
	var vault string
	cmd := &cobra.Command{
		Use: "secrets", Short: "Keep secrets in the vault, and run commands with them", Args: cobra.NoArgs,
		Long: `Keep secrets in the vault of an app, and run commands with them.

A value is read from standard input or a file, never from the command line, which every
user of the machine can see.`,
	}
	ofVault(cmd, &vault)
	cmd.AddCommand(p.secretsSet(&vault), p.secretsGet(&vault), p.itemUpdate(secretKind, "secret", &vault), p.secretsGenerate(&vault),
		p.secretsImport(&vault), p.secretsExec(&vault), p.secretsEnv(&vault))
	cmd.AddCommand(p.itemCommands(secretKind, "secret", &vault)...)
	return cmd
}

// secret is a secret in an answer.
type secret struct {
	item
	Value string `json:"value"`
}

func (p *program) secretsSet(vault *string) *cobra.Command {
	var (
		c     change
		file  string
		exact bool
	)
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Give a secret a new value", Args: exactly(1),
		Long: `Give a secret a new value, which is a new version of it. The value is read from standard
input or a file; a terminal is asked for it and does not show it. One end of line at the
end is no part of it, unless --exact is given.`,
		Example: `  perdure secrets set db-password < password.txt
  openssl rand -base64 32 | perdure secrets set session-key --expires 90d --tag owner=web`,
		RunE: runs(func(ctx context.Context, args []string) error {
			value, err := p.secretValue(ctx, file, exact)
			if err != nil {
				return err
			}
			body := map[string]any{"value": value}
			if _, err := c.body(body); err != nil {
				return err
			}
			var set secret
			if err := p.items(*vault).do(ctx, http.MethodPut, at(secretKind, args[0]), body, &set); err != nil {
				return err
			}
			return p.setSecret(args[0], &set.item)
		}),
	}
	cmd.Flags().StringVar(&file, "file", "", "read the value from there; default standard input")
	cmd.Flags().BoolVar(&exact, "exact", false, "take the value with the end of line at its end")
	contentTypeFlag(cmd, &c)
	changeFlags(cmd, &c, false)
	return cmd
}

// setSecret says that a secret has a new version. The answer has no value in it.
func (p *program) setSecret(name string, set *item) error {
	_, version := set.named()
	answer := map[string]string{"name": name, "version": version}
	return p.show(answer, func() { p.say("The secret %s has a new version: %s", name, version) })
}

// secretValue reads the value of a secret.
func (p *program) secretValue(ctx context.Context, file string, exact bool) (string, error) {
	if file == "" && onTerminal(p.in) {
		return p.askSecret(ctx, "value")
	}
	b, err := p.readIn(file, maxSecretValue+2)
	if err != nil {
		return "", err
	}
	if !exact {
		b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	}
	switch {
	case len(b) == 0:
		return "", &usageError{errors.New("the value is empty")}
	case len(b) > maxSecretValue:
		return "", &usageError{fmt.Errorf("the value has more than %d bytes", maxSecretValue)}
	case !utf8.Valid(b):
		return "", &usageError{errors.New("the value is no text in UTF-8: encode it, such as by base64")}
	}
	return string(b), nil
}

func (p *program) secretsGet(vault *string) *cobra.Command {
	var version string
	cmd := &cobra.Command{
		Use: "get NAME", Short: "Print the value of a secret, and nothing else", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			path := at(secretKind, args[0])
			if version != "" {
				path = at(secretKind, args[0], version)
			}
			var got whole[secret]
			if err := p.items(*vault).do(ctx, http.MethodGet, path, nil, &got); err != nil {
				return err
			}
			if p.json {
				return p.show(got, nil)
			}
			if onTerminal(p.out) { // which must not be steered by what somebody has stored
				p.lines(got.V.Value)
				return nil
			}
			_, err := io.WriteString(p.out, got.V.Value)
			return err
		}),
	}
	cmd.Flags().StringVar(&version, "version", "", "an older version; default the current one")
	return cmd
}

func (p *program) secretsGenerate(vault *string) *cobra.Command {
	var c change
	type generated struct {
		Vault       string            `json:"vault"`
		Name        string            `json:"name"`
		Length      int               `json:"length"`
		Alphabet    string            `json:"alphabet,omitempty"`
		ContentType *string           `json:"content_type,omitempty"`
		Enabled     *bool             `json:"enabled,omitempty"`
		NotBefore   *time.Time        `json:"not_before,omitempty"`
		Expires     *time.Time        `json:"expires,omitempty"`
		Tags        map[string]string `json:"tags,omitempty"`
	}
	var g generated
	cmd := &cobra.Command{
		Use: "generate NAME", Short: "Give a secret a random value, which nobody gets to see", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) (err error) {
			g.Vault, g.Name = *vault, args[0]
			if g.Tags, err = c.tagMap(); err != nil {
				return err
			}
			if c.flags.Changed("content-type") {
				g.ContentType = &c.contentType
			}
			if c.disabled {
				g.Enabled = new(bool)
			}
			if !c.notBefore.IsZero() {
				g.NotBefore = &c.notBefore.Time
			}
			if !c.expires.IsZero() {
				g.Expires = &c.expires.Time
			}
			var made struct {
				Version string `json:"version"`
			}
			if err := p.ask(ctx, http.MethodPost, vaultPath+"generated", nil, g, &made); err != nil {
				return err
			}
			return p.setSecret(args[0], &item{ID: "https://vault/secrets/" + args[0] + "/" + made.Version})
		}),
	}
	f := cmd.Flags()
	f.IntVar(&g.Length, "length", 32, "how many characters it has")
	f.StringVar(&g.Alphabet, "alphabet", "", "digits, hex, letters, alphanumeric, base64url, readable, printable, or the characters themselves; default alphanumeric")
	contentTypeFlag(cmd, &c)
	changeFlags(cmd, &c, false)
	return cmd
}
