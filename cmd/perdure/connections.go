package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// connection is a source of users in an answer.
type connection struct {
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Strategy string          `json:"strategy"`
	ForAll   bool            `json:"is_domain_connection"`
	Disabled bool            `json:"disabled"`
	Clients  []string        `json:"enabled_clients"`
	Options  json.RawMessage `json:"options"`
}

// upstream are the options of a connection to an issuer.
type upstream struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	Scope    string `json:"scope,omitempty"`
	Link     string `json:"link,omitempty"`
	NoSignup bool   `json:"disable_signup,omitempty"`
	Secret   string `json:"client_secret,omitempty"`
}

func (p *program) connectionsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "connections", Short: "Administer where users come from: databases and issuers upstream", Args: cobra.NoArgs}
	cmd.AddCommand(p.connectionsList(), p.connectionsShow(), p.connectionsCreate(), p.connectionsSecret(), p.connectionsDelete(),
		p.connectionsTurn("enable", "Offer a connection to users again", false, "is offered"),
		p.connectionsTurn("disable", "Offer a connection to nobody", true, "is offered to nobody"))
	return cmd
}

func (p *program) connectionsList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List connections", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			return showList(ctx, p, "connections", "connections", nil, limit, "NAME STRATEGY FOR-ALL DISABLED ID", func(c *connection) []string {
				return []string{c.Name, c.Strategy, yes(c.ForAll), yes(c.Disabled), c.ID}
			})
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

// findConnection returns the connection that is meant by a name or an id.
func (p *program) findConnection(ctx context.Context, name string) (*whole[connection], error) {
	all, _, err := listOf[connection](ctx, p, "connections", "connections", nil, 0)
	if err != nil {
		return nil, err
	}
	return pick(all, "connection", name, func(c *connection) []string { return []string{c.ID, c.Name} })
}

func (p *program) connectionsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show CONNECTION", Short: "Show a connection", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			c, err := p.findConnection(ctx, args[0])
			if err != nil {
				return err
			}
			return p.show(c, func() {
				p.fields("name", c.V.Name, "id", c.V.ID, "strategy", c.V.Strategy, "for all applications", yes(c.V.ForAll),
					"applications", strings.Join(c.V.Clients, ", "), "disabled", yes(c.V.Disabled))
				p.say("options:")
				p.document(c.V.Options)
			})
		}),
	}
}

func (p *program) connectionsCreate() *cobra.Command {
	var (
		o       upstream
		secret  bool
		scopes  []string
		display string
	)
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Let users sign in by an issuer upstream", Args: exactly(1),
		Long: `Let users sign in by an OpenID Connect issuer upstream, for all applications.

There, this provider is registered as a client; the secret of that client is read from
standard input with --secret-stdin.`,
		RunE: runs(func(ctx context.Context, args []string) (err error) {
			if secret {
				if o.Secret, err = p.secretFromInput("secret"); err != nil {
					return err
				}
			}
			o.Scope = strings.Join(scopes, " ")
			body := map[string]any{"name": args[0], "strategy": "oidc", "is_domain_connection": true, "options": o}
			if display != "" {
				body["display_name"] = display
			}
			var made whole[connection]
			if err := p.manage(ctx, http.MethodPost, "connections", nil, body, &made); err != nil {
				return err
			}
			return p.show(made, func() { p.say("The connection %s was made: %s", made.V.Name, made.V.ID) })
		}),
	}
	f := cmd.Flags()
	f.StringVar(&o.Issuer, "issuer", "", "URL of the issuer")
	f.StringVar(&o.ClientID, "client-id", "", "client id there")
	f.StringSliceVar(&scopes, "scope", []string{"openid", "profile", "email"}, "what is asked for there")
	f.StringVar(&display, "display-name", "", "what users see")
	f.BoolVar(&o.NoSignup, "no-signup", false, "let in only users who are there already")
	f.BoolVar(&secret, "secret-stdin", false, "read the client secret from standard input")
	_, _ = cmd.MarkFlagRequired("issuer"), cmd.MarkFlagRequired("client-id") // they are there
	return cmd
}

func (p *program) connectionsSecret() *cobra.Command {
	return &cobra.Command{
		Use: "secret CONNECTION", Short: "Set the client secret for an issuer upstream, from standard input", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			secret, err := p.secretFromInput("secret")
			if err != nil {
				return err
			}
			c, err := p.findConnection(ctx, args[0])
			if err != nil {
				return err
			}
			// Options are replaced as a whole, so what is there goes along.
			options := map[string]any{}
			if err := json.Unmarshal(c.V.Options, &options); err != nil {
				return err
			}
			options["client_secret"] = secret
			if err := p.manage(ctx, http.MethodPatch, at("connections", c.V.ID), nil, map[string]any{"options": options}, nil); err != nil {
				return err
			}
			return p.done("The secret of %s was set.", c.V.Name)
		}),
	}
}

func (p *program) connectionsTurn(use, short string, disabled bool, done string) *cobra.Command {
	return &cobra.Command{
		Use: use + " CONNECTION", Short: short, Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			c, err := p.findConnection(ctx, args[0])
			if err != nil {
				return err
			}
			if err := p.manage(ctx, http.MethodPatch, at("connections", c.V.ID), nil, map[string]bool{"disabled": disabled}, nil); err != nil {
				return err
			}
			return p.done("The connection %s %s.", c.V.Name, done)
		}),
	}
}

func (p *program) connectionsDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete CONNECTION", Short: "Delete a connection that no user came by", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			c, err := p.findConnection(ctx, args[0])
			if err != nil {
				return err
			}
			if err := p.manage(ctx, http.MethodDelete, at("connections", c.V.ID), nil, nil, nil); err != nil {
				return err
			}
			return p.done("The connection %s was deleted.", c.V.Name)
		}),
	}
}
