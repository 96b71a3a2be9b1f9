package main

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

// Commands about the vault speak to the app as the operator of the machine, who may do everything with it. What they do is
// in the audit log as the operator's.

// vaultPath is the path of the vault, below control.Prefix.
const vaultPath = "vault/"

// defaultVault is the vault that is meant where none is named, and allVaults stands for every one.
const (
	defaultVault = "default"
	allVaults    = "*"
)

func (p *program) vaultCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "vault", Short: "Administer the vault: rights, keys, certificates, the audit log, the master key", Args: cobra.NoArgs,
		Long: `Administer the vault of an app: who may do what with its secrets, keys and certificates,
who did, and the master key that opens it. "perdure secrets" has what is done with secrets.`,
	}
	cmd.AddCommand(p.vaultList(), p.vaultRoles(), p.vaultGrant(), p.vaultGrants(), p.vaultRevoke(), p.vaultExplain(), p.vaultExpiring(),
		p.vaultKeysCommand(), p.certificatesCommand(), p.issuersCommand(), p.auditCommand(), p.masterCommand())
	return cmd
}

// ofVault adds the flag that names a vault.
func ofVault(cmd *cobra.Command, vault *string) {
	cmd.PersistentFlags().StringVar(vault, "vault", defaultVault, "name of the vault")
}

// vaultPages asks for a list of the vault's administration, until it has limit items, or all for zero.
func vaultPages[T any](ctx context.Context, p *program, path string, query url.Values, limit int) (control.Page[whole[T]], error) {
	all := control.Page[whole[T]]{Items: []whole[T]{}}
	query = cloneValues(query)
	for {
		if limit > 0 {
			query.Set("max", count(limit-len(all.Items)))
		}
		query.Set("cursor", all.Next)
		var page control.Page[whole[T]]
		if err := p.ask(ctx, http.MethodGet, vaultPath+path, query, nil, &page); err != nil {
			return all, err
		}
		all.Items, all.Next = append(all.Items, page.Items...), page.Next
		if all.Next == "" || limit > 0 && len(all.Items) >= limit {
			return all, nil
		}
	}
}

func cloneValues(query url.Values) url.Values {
	clone := url.Values{}
	for name, values := range query {
		clone[name] = slices.Clone(values)
	}
	return clone
}

// showVaultList prints a list of the vault's administration.
func showVaultList[T any](ctx context.Context, p *program, path string, query url.Values, limit int, heading string, row func(*T) []string) error {
	page, err := vaultPages[T](ctx, p, path, query, limit)
	if err != nil {
		return err
	}
	return p.show(page, func() {
		rows := make([][]string, len(page.Items))
		for i := range page.Items {
			rows[i] = row(&page.Items[i].V)
		}
		p.table(heading, rows)
		p.more(page.Next)
	})
}

func (p *program) vaultList() *cobra.Command {
	type vault struct {
		Name            string `json:"name"`
		URL             string `json:"url"`
		RecoverableDays int    `json:"recoverable_days"`
		PurgeProtection bool   `json:"purge_protection"`
		ReuseDeleted    bool   `json:"reuse_deleted"`
	}
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the vaults of the app", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			return showVaultList(ctx, p, "vaults", nil, 0, "NAME RECOVERABLE-DAYS PURGE-PROTECTION REUSES-NAMES URL", func(v *vault) []string {
				return []string{v.Name, count(v.RecoverableDays), yes(v.PurgeProtection), yes(v.ReuseDeleted), v.URL}
			})
		}),
	}
}

func (p *program) vaultRoles() *cobra.Command {
	type set struct {
		Name  string              `json:"name"`
		Azure string              `json:"azure"`
		Ops   map[string][]string `json:"operations"`
	}
	return &cobra.Command{
		Use: "roles", Short: "List the roles that can be granted, with their operations", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			page, err := vaultPages[set](ctx, p, "roles", nil, 0)
			if err != nil {
				return err
			}
			return p.show(page, func() {
				var rows [][]string
				for i := range page.Items {
					s := &page.Items[i].V
					for _, kind := range itemKinds {
						if ops := s.Ops[kind]; len(ops) > 0 {
							rows = append(rows, []string{s.Name, kind, strings.Join(ops, " ")})
						}
					}
				}
				p.table("ROLE KIND OPERATIONS", rows)
			})
		}),
	}
}

func (p *program) vaultExpiring() *cobra.Command {
	type item struct {
		Vault   string    `json:"vault"`
		Kind    string    `json:"kind"`
		Name    string    `json:"name"`
		Version string    `json:"version"`
		Expires time.Time `json:"expires"`
	}
	within := 30 * day
	cmd := &cobra.Command{
		Use: "expiring", Short: "List secrets, keys and certificates that end soon, the first one first", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			query := url.Values{"within": {within.String()}}
			return showVaultList(ctx, p, "expiring", query, 0, "EXPIRES VAULT KIND NAME VERSION", func(i *item) []string {
				return []string{moment(i.Expires), i.Vault, i.Kind, i.Name, i.Version}
			})
		}),
	}
	cmd.Flags().Var((*span)(&within), "within", "how soon: 720h, 30d")
	return cmd
}
