package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// vaultGrant is a right on items of a vault, in an answer.
type vaultGrant struct {
	ID     string      `json:"id"`
	Vault  string      `json:"vault"`
	Set    string      `json:"set"`
	Kind   string      `json:"kind"`
	Ops    []string    `json:"ops"`
	Name   string      `json:"name"`
	Member vaultMember `json:"member"`
	Made   time.Time   `json:"created"`
	By     string      `json:"by"`
}

// vaultMember is whom a right is given to.
type vaultMember struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
	Role    string `json:"role"`
	Display string `json:"display"`
}

// String is what to call the member.
func (m vaultMember) String() string {
	name := m.Subject
	if m.Role != "" {
		name = "role:" + m.Role
	} else if m.Display != "" && m.Display != m.Subject {
		name = m.Display + " (" + m.Subject + ")"
	}
	if m.Issuer != "" {
		name += " of " + m.Issuer
	}
	return name
}

// what is what the right allows.
func (g *vaultGrant) what() string {
	if g.Set != "" {
		return g.Set
	}
	return g.Kind + " " + strings.Join(g.Ops, ",")
}

// right is what the member may do, or may no more.
func (g *vaultGrant) right(may, has string) string {
	where := " on every item"
	if g.Name != allVaults {
		where = " on " + g.Name
	}
	if where += " in the vault " + g.Vault; g.Vault == allVaults {
		where = strings.Replace(where, "the vault *", "every vault", 1)
	}
	if g.Set != "" {
		return g.Member.String() + " " + has + " the role " + g.Set + where
	}
	return g.Member.String() + " " + may + " " + strings.Join(g.Ops, ", ") + " " + g.Kind + where
}

// aboutMembers says how members are written.
const aboutMembers = `MEMBER is "self" for the app itself, "user:ada@example.com", "app:CLIENT_ID",
"identity:NAME", "role:NAME", or "subject:ISSUER#SUB" for a principal of another issuer.`

// specOfGrant is a right to be given.
type specOfGrant struct {
	Member string   `json:"member"`
	Vault  string   `json:"vault"`
	Set    string   `json:"set,omitempty"`
	Kind   string   `json:"kind,omitempty"`
	Ops    []string `json:"ops,omitempty"`
	Name   string   `json:"name,omitempty"`
}

func (p *program) vaultGrant() *cobra.Command {
	var s specOfGrant
	cmd := &cobra.Command{
		Use: "grant MEMBER [ROLE]", Short: "Give a right on items of a vault",
		Long: `Give somebody a right on the items of a vault: a role, or single operations by --ops and
--kind. "perdure vault roles" lists both.

` + aboutMembers,
		Example: `  perdure vault grant identity:Weather secrets-user --name 'weather-*'
  perdure vault grant user:ada@example.com --kind keys --ops sign,verify --name invoices`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return exactly(2)(cmd, args)
			}
			return nil
		},
		RunE: runs(func(ctx context.Context, args []string) error {
			s.Member, s.Kind = args[0], itemKind(s.Kind)
			if len(args) == 2 {
				s.Set = args[1]
			}
			if (s.Set == "") == (len(s.Ops) == 0) {
				return &usageError{errors.New("want a role, or operations by --ops")}
			}
			if len(s.Ops) > 0 && s.Kind == "" {
				return &usageError{errors.New("operations are of a kind of item: name it by --kind")}
			}
			var given struct {
				Grant whole[vaultGrant] `json:"grant"`
				Text  string            `json:"text"`
				Added bool              `json:"added"`
			}
			if err := p.ask(ctx, http.MethodPost, vaultPath+"grants", nil, s, &given); err != nil {
				return err
			}
			return p.show(given, func() {
				p.say("%s.", given.Grant.V.right("may", "has"))
				if !given.Added {
					p.say("That was so already.")
				}
				p.say("To take it away: perdure vault revoke %s", given.Grant.V.ID)
			})
		}),
	}
	f := cmd.Flags()
	f.StringSliceVar(&s.Ops, "ops", nil, `operations instead of a role, or "*" for all`)
	f.StringVar(&s.Kind, "kind", "", `kind of item that --ops are of: secrets, keys, certificates, "*"`)
	f.StringVar(&s.Name, "name", "", `name of an item, or a prefix written "weather-*"; default all`)
	f.StringVar(&s.Vault, "vault", defaultVault, `name of the vault, or "*" for all`)
	return cmd
}

func (p *program) vaultGrants() *cobra.Command {
	var (
		member, vault string
		limit         int
	)
	cmd := &cobra.Command{
		Use: "grants", Short: "List the rights that were given", Args: exactly(0), Long: "List the rights that were given.\n\n" + aboutMembers,
		RunE: runs(func(ctx context.Context, _ []string) error {
			query := url.Values{}
			if member != "" {
				query.Set("member", member)
			}
			if vault != "" {
				query.Set("vault", vault)
			}
			return showVaultList(ctx, p, "grants", query, limit, "ID MEMBER MAY NAME VAULT GIVEN BY", func(g *vaultGrant) []string {
				return []string{g.ID, g.Member.String(), g.what(), g.Name, g.Vault, moment(g.Made), g.By}
			})
		}),
	}
	cmd.Flags().StringVar(&member, "member", "", "those of this member, not of its roles")
	cmd.Flags().StringVar(&vault, "vault", "", "those that are good in this vault")
	limitFlag(cmd, &limit)
	return cmd
}

func (p *program) vaultRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke GRANT-ID", Short: "Take a right away", Args: exactly(1),
		Long: `Take a right away, from the next request on. One that the configuration names is given
again at the next start.`,
		RunE: runs(func(ctx context.Context, args []string) error {
			var taken struct {
				Grant whole[vaultGrant] `json:"grant"`
			}
			if err := p.ask(ctx, http.MethodDelete, vaultPath+at("grants", args[0]), nil, nil, &taken); err != nil {
				return err
			}
			return p.show(taken, func() {
				p.say("%s.", taken.Grant.V.right("may no more", "has no more"))
			})
		}),
	}
}

func (p *program) vaultExplain() *cobra.Command {
	var vault string
	cmd := &cobra.Command{
		Use: "explain MEMBER OPERATION KIND NAME", Short: "Say why somebody may do something, or may not", Args: exactly(4),
		Long: "Say why somebody may do something with an item, or may not.\n\n" + aboutMembers,
		RunE: runs(func(ctx context.Context, args []string) error {
			query := url.Values{"member": {args[0]}, "op": {args[1]}, "kind": {itemKind(args[2])}, "name": {args[3]}, "vault": {vault}}
			var why whole[struct {
				Allowed bool        `json:"allowed"`
				Reason  string      `json:"reason"`
				Grant   *vaultGrant `json:"grant"`
				Members []string    `json:"members"`
				Near    []struct {
					Grant  vaultGrant `json:"grant"`
					Misses []string   `json:"misses"`
				} `json:"near"`
			}]
			if err := p.ask(ctx, http.MethodGet, vaultPath+"explain", query, nil, &why); err != nil {
				return err
			}
			return p.show(why, func() {
				id, allowed := "", "no"
				if why.V.Allowed {
					allowed = "yes"
				}
				if why.V.Grant != nil {
					id = why.V.Grant.ID
				}
				p.fields("allowed", allowed, "because", why.V.Reason, "grant", id, "counts as", strings.Join(why.V.Members, ", "))
				if len(why.V.Near) == 0 {
					return
				}
				rows := make([][]string, len(why.V.Near))
				for i := range why.V.Near {
					g := &why.V.Near[i].Grant
					rows[i] = []string{g.ID, g.what(), g.Name, g.Vault, strings.Join(why.V.Near[i].Misses, ", ")}
				}
				p.table("GRANT MAY NAME VAULT MISSES", rows)
			})
		}),
	}
	ofVault(cmd, &vault)
	return cmd
}

// itemKinds are the kinds of items.
var itemKinds = []string{"secrets", "keys", "certificates"}

// itemKind is a kind that was written in the singular.
func itemKind(text string) string {
	for _, kind := range itemKinds {
		if text+"s" == kind {
			return kind
		}
	}
	return text
}

// itemNamed reads "KIND/NAME", or a NAME, which is a secret's.
func itemNamed(text string) (kind, name string, err error) {
	kind, name, ok := strings.Cut(text, "/")
	if !ok {
		kind, name = itemKinds[0], text
	}
	if kind, name = itemKind(kind), strings.TrimSpace(name); cmp.Or(kind, name) == "" || name == "" {
		return "", "", &usageError{fmt.Errorf("%q: want KIND/NAME, such as secrets/db-password", text)}
	}
	return kind, name, nil
}
