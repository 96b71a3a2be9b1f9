package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// application is an application in an answer.
type application struct {
	ClientID     string   `json:"client_id"`
	ClientSecret string   `json:"client_secret"`
	Name         string   `json:"name"`
	Description  string   `json:"description"`
	Type         string   `json:"app_type"`
	FirstParty   bool     `json:"is_first_party"`
	Callbacks    []string `json:"callbacks"`
	LogoutURLs   []string `json:"allowed_logout_urls"`
	WebOrigins   []string `json:"web_origins"`
	GrantTypes   []string `json:"grant_types"`
	AuthMethod   *string  `json:"token_endpoint_auth_method"`
}

// method is how the application authenticates.
func (a *application) method() string {
	if a.AuthMethod == nil {
		return "private_key_jwt"
	}
	return *a.AuthMethod
}

func (p *program) appsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "apps", Short: "Administer applications: programs that get tokens", Args: cobra.NoArgs,
		Long: `Administer applications: programs that get tokens from the app's own provider.

APP is a client id or a name.`,
	}
	cmd.AddCommand(p.appsList(), p.appsShow(), p.appsCreate(), p.appsDelete(), p.appsRotateSecret())
	return cmd
}

func (p *program) appsList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List applications", Args: exactly(0),
		RunE: runs(func(ctx context.Context, _ []string) error {
			return showList(ctx, p, "clients", "clients", nil, limit, "CLIENT-ID NAME TYPE AUTHENTICATION", func(a *application) []string {
				return []string{a.ClientID, a.Name, a.Type, a.method()}
			})
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

// findApp returns the application that is meant by a client id or a name.
func (p *program) findApp(ctx context.Context, name string) (*whole[application], error) {
	all, _, err := listOf[application](ctx, p, "clients", "clients", nil, 0)
	if err != nil {
		return nil, err
	}
	return pick(all, "application", name, func(a *application) []string { return []string{a.ClientID, a.Name} })
}

func (p *program) appsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show APP", Short: "Show an application", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			a, err := p.findApp(ctx, args[0])
			if err != nil {
				return err
			}
			return p.show(a, func() {
				p.fields("client id", a.V.ClientID, "name", a.V.Name, "description", a.V.Description, "type", a.V.Type, "authentication", a.V.method(),
					"first party", yes(a.V.FirstParty), "grant types", strings.Join(a.V.GrantTypes, ", "), "callbacks", strings.Join(a.V.Callbacks, ", "),
					"after logout", strings.Join(a.V.LogoutURLs, ", "), "web origins", strings.Join(a.V.WebOrigins, ", "))
			})
		}),
	}
}

func (p *program) appsCreate() *cobra.Command {
	var (
		kind, method, description                string
		callbacks, logouts, origins, grantsTypes []string
		thirdParty                               bool
	)
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make an application; its secret is printed, once", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			body := map[string]any{"name": args[0], "app_type": kind, "is_first_party": !thirdParty}
			for member, value := range map[string]string{"token_endpoint_auth_method": method, "description": description} {
				if value != "" {
					body[member] = value
				}
			}
			for member, values := range map[string][]string{
				"callbacks": callbacks, "allowed_logout_urls": logouts, "web_origins": origins, "grant_types": grantsTypes,
			} {
				if len(values) > 0 {
					body[member] = values
				}
			}
			var made whole[application]
			if err := p.manage(ctx, http.MethodPost, "clients", nil, body, &made); err != nil {
				return err
			}
			return p.show(made, func() { p.credentials(&made.V) })
		}),
	}
	f := cmd.Flags()
	f.StringVar(&kind, "type", "regular_web", "regular_web, spa, native or non_interactive")
	f.StringVar(&method, "auth-method", "", "client_secret_post, client_secret_basic or none; by default what suits the type")
	f.StringVar(&description, "description", "", "what the application is for")
	f.StringSliceVar(&callbacks, "callback", nil, "URLs that users come back to")
	f.StringSliceVar(&logouts, "logout-url", nil, "URLs that users come to after they have signed out")
	f.StringSliceVar(&origins, "origin", nil, "web origins that may call the provider from a browser")
	f.StringSliceVar(&grantsTypes, "grant-type", nil, "grant types, by their names in OAuth 2.0; by default what suits the type")
	f.BoolVar(&thirdParty, "third-party", false, "ask users for consent: the application is somebody else's")
	return cmd
}

// credentials prints what an application needs to get tokens.
func (p *program) credentials(a *application) {
	p.fields("client id", a.ClientID, "client secret", a.ClientSecret)
	if a.ClientSecret != "" {
		p.hint("The secret is shown this once, and kept nowhere.")
	}
}

func (p *program) appsDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete APP", Short: "Delete an application, its grants and tokens", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			a, err := p.findApp(ctx, args[0])
			if err != nil {
				return err
			}
			if err := p.manage(ctx, http.MethodDelete, at("clients", a.V.ClientID), nil, nil, nil); err != nil {
				return err
			}
			return p.done("The application %s was deleted.", a.V.Name)
		}),
	}
}

func (p *program) appsRotateSecret() *cobra.Command {
	return &cobra.Command{
		Use: "rotate-secret APP", Short: "Give an application a new secret, which is printed once; the one before is good no more", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			a, err := p.findApp(ctx, args[0])
			if err != nil {
				return err
			}
			var rotated whole[application]
			if err := p.manage(ctx, http.MethodPost, at("clients", a.V.ClientID, "rotate-secret"), nil, nil, &rotated); err != nil {
				return err
			}
			return p.show(rotated, func() { p.credentials(&rotated.V) })
		}),
	}
}
