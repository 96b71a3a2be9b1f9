package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// issuer is an authority that certificates name.
type issuer struct {
	ID          string `json:"id,omitempty"`
	Provider    string `json:"provider"`
	Credentials *struct {
		Account string `json:"account_id"`
	} `json:"credentials,omitempty"`
}

func (p *program) issuersCommand() *cobra.Command {
	var vault string
	cmd := &cobra.Command{Use: "issuers", Short: "Administer the authorities that sign the vault's certificates", Args: cobra.NoArgs}
	ofVault(cmd, &vault)
	path := func(name string) string { return at(certificateKind, "issuers", name) }
	var authority string
	set := &cobra.Command{
		Use: "set NAME", Short: "Let a certificate of the vault sign others, as the issuer NAME", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			body := map[string]any{"provider": "Perdure", "credentials": map[string]any{"account_id": authority}}
			if err := p.items(vault).do(ctx, http.MethodPut, path(args[0]), body, nil); err != nil {
				return err
			}
			return p.done("The issuer %s signs with the certificate %s.", args[0], authority)
		}),
	}
	set.Flags().StringVar(&authority, "authority", "", "name of the certificate, made with --authority")
	_ = set.MarkFlagRequired("authority") // it is there
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List issuers", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			page, err := p.items(vault).list(ctx, at(certificateKind, "issuers"), 0)
			if err != nil {
				return err
			}
			return p.show(page, func() {
				rows := make([][]string, len(page.Items))
				for i := range page.Items {
					var one issuer
					_ = json.Unmarshal(page.Items[i].raw, &one) // it was read before
					rows[i] = []string{one.ID[strings.LastIndex(one.ID, "/")+1:], one.Provider}
				}
				p.table("NAME PROVIDER", rows)
			})
		}),
	}
	remove := &cobra.Command{
		Use: "delete NAME", Short: "Let an issuer sign no more", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			if err := p.items(vault).do(ctx, http.MethodDelete, path(args[0]), nil, nil); err != nil {
				return err
			}
			return p.done("The issuer %s was deleted.", args[0])
		}),
	}
	cmd.AddCommand(set, list, remove)
	return cmd
}
