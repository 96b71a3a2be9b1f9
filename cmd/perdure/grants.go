package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// grant is what an application may do at an API as itself, in an answer.
type grant struct {
	ID       string   `json:"id"`
	ClientID string   `json:"client_id"`
	Audience string   `json:"audience"`
	Scope    []string `json:"scope"`
}

func (p *program) grantsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "grants", Short: "Administer what applications may do at APIs as themselves", Args: cobra.NoArgs}
	cmd.AddCommand(p.grantsList(), p.grantsSet(), p.grantsDelete())
	return cmd
}

func (p *program) grantsList() *cobra.Command {
	var (
		app   string
		limit int
	)
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List grants", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			query := url.Values{}
			if app != "" {
				a, err := p.findApp(ctx, app)
				if err != nil {
					return err
				}
				query.Set("client_id", a.V.ClientID)
			}
			return showList(ctx, p, "client-grants", "client_grants", query, limit, "CLIENT-ID API PERMISSIONS", func(g *grant) []string {
				return []string{g.ClientID, g.Audience, strings.Join(g.Scope, " ")}
			})
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "those of this application")
	limitFlag(cmd, &limit)
	return cmd
}

// findGrant returns the grant of an application for an API; its id is empty if there is none.
func (p *program) findGrant(ctx context.Context, app, apiName string) (a *whole[application], g grant, err error) {
	if a, err = p.findApp(ctx, app); err != nil {
		return nil, g, err
	}
	to, err := p.findAPI(ctx, apiName)
	if err != nil {
		return nil, g, err
	}
	query := url.Values{"client_id": {a.V.ClientID}, "audience": {to.V.Identifier}}
	all, _, err := listOf[grant](ctx, p, "client-grants", "client_grants", query, 1)
	if err != nil {
		return nil, g, err
	}
	if len(all) > 0 {
		return a, all[0].V, nil
	}
	return a, grant{Audience: to.V.Identifier}, nil
}

func (p *program) grantsSet() *cobra.Command {
	return &cobra.Command{
		Use: "set APP API PERMISSION...", Short: "Say what an application may do at an API as itself", Args: atLeast(3),
		RunE: runs(func(ctx context.Context, args []string) error {
			a, g, err := p.findGrant(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			method, path, body := http.MethodPost, "client-grants", map[string]any{"scope": args[2:]}
			if g.ID != "" {
				method, path = http.MethodPatch, at("client-grants", g.ID)
			} else {
				body["client_id"], body["audience"] = a.V.ClientID, g.Audience
			}
			var set whole[grant]
			if err := p.manage(ctx, method, path, nil, body, &set); err != nil {
				return err
			}
			return p.show(set, func() { p.say("%s may at %s: %s", a.V.Name, g.Audience, strings.Join(set.V.Scope, " ")) })
		}),
	}
}

func (p *program) grantsDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete APP API", Short: "Let an application do nothing at an API as itself", Args: exactly(2),
		RunE: runs(func(ctx context.Context, args []string) error {
			a, g, err := p.findGrant(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			if g.ID == "" {
				return missing("grant for "+g.Audience+" of", a.V.Name)
			}
			if err := p.manage(ctx, http.MethodDelete, at("client-grants", g.ID), nil, nil, nil); err != nil {
				return err
			}
			return p.done("%s may do nothing at %s as itself.", a.V.Name, g.Audience)
		}),
	}
}
