package main

import (
	"context"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

// signingKey is a key that signs tokens, in an answer.
type signingKey struct {
	KID          string    `json:"kid"`
	Alg          string    `json:"alg"`
	Current      bool      `json:"current"`
	Next         bool      `json:"next"`
	Previous     bool      `json:"previous"`
	Revoked      bool      `json:"revoked"`
	CurrentSince time.Time `json:"current_since"`
	CurrentUntil time.Time `json:"current_until"`
}

func (k *signingKey) state() string {
	switch {
	case k.Current:
		return "signs"
	case k.Next:
		return "next"
	case k.Revoked:
		return "revoked"
	}
	return "retiring"
}

func (p *program) keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Administer the keys that sign tokens", Args: cobra.NoArgs}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Aliases: []string{"ls"}, Short: "List keys", Args: exactly(0),
			RunE: runs(func(ctx context.Context, _ []string) error { return p.showKeys(ctx) }),
		},
		&cobra.Command{
			Use: "rotate", Short: "Let the next keys sign; tokens of those before stay good", Args: exactly(0),
			RunE: runs(func(ctx context.Context, _ []string) error {
				if err := p.manage(ctx, http.MethodPost, "keys/signing/rotate", nil, nil, nil); err != nil {
					return err
				}
				p.hint("The next key signs an hour after it was published, so that all verifiers know it then.")
				return p.showKeys(ctx)
			}),
		},
		&cobra.Command{
			Use: "revoke KEY", Short: "Make everything worthless that a key has signed: it is not the app's alone any more", Args: exactly(1),
			RunE: runs(func(ctx context.Context, args []string) error {
				if err := p.manage(ctx, http.MethodPut, at("keys", "signing", args[0], "revoke"), nil, nil, nil); err != nil {
					return err
				}
				return p.done("The key %s was revoked. Who verifies tokens elsewhere may know it for a while.", args[0])
			}),
		},
		p.keysExport())
	return cmd
}

func (p *program) showKeys(ctx context.Context) error {
	var keys []whole[signingKey]
	if err := p.manage(ctx, http.MethodGet, "keys/signing", nil, nil, &keys); err != nil {
		return err
	}
	return p.show(control.Page[whole[signingKey]]{Items: keys}, func() {
		rows := make([][]string, len(keys))
		for i := range keys {
			k := &keys[i].V
			rows[i] = []string{k.KID, k.Alg, k.state(), moment(k.CurrentSince), moment(k.CurrentUntil)}
		}
		p.table("KEY ALGORITHM STATE SINCE UNTIL", rows)
	})
}
