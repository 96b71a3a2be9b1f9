package main

import (
	"context"
	"errors"
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
	cmd.AddCommand(p.appsList(), p.appsShow(), p.appsCreate(), p.appsUpdate(), p.appsDelete(), p.appsRotateSecret())
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

// appFlags are what is said about an application.
type appFlags struct {
	kind, method, description               string
	callbacks, logouts, origins, grantTypes []string
	thirdParty                              bool
}

func (f *appFlags) add(cmd *cobra.Command, replaces string) {
	set := cmd.Flags()
	set.StringVar(&f.method, "auth-method", "", "client_secret_post, client_secret_basic or none; by default what suits the type")
	set.StringVar(&f.description, "description", "", "what the application is for")
	set.StringSliceVar(&f.callbacks, "callback", nil, "URLs that users come back to"+replaces)
	set.StringSliceVar(&f.logouts, "logout-url", nil, "URLs that users come to after they have signed out"+replaces)
	set.StringSliceVar(&f.origins, "origin", nil, "web origins that may call the provider from a browser"+replaces)
	set.StringSliceVar(&f.grantTypes, "grant-type", nil, "grant types, by their names in OAuth 2.0; by default what suits the type"+replaces)
	set.BoolVar(&f.thirdParty, "third-party", false, "ask users for consent: the application is somebody else's")
}

// body is what was said, for the management API.
func (f *appFlags) body(cmd *cobra.Command) map[string]any {
	body := map[string]any{}
	for flag, member := range map[string]struct {
		name  string
		value any
	}{
		"auth-method": {"token_endpoint_auth_method", f.method}, "description": {"description", f.description},
		"callback": {"callbacks", f.callbacks}, "logout-url": {"allowed_logout_urls", f.logouts}, "origin": {"web_origins", f.origins},
		"grant-type": {"grant_types", f.grantTypes}, "third-party": {"is_first_party", !f.thirdParty},
	} {
		if cmd.Flags().Changed(flag) {
			body[member.name] = member.value
		}
	}
	return body
}

func (p *program) appsCreate() *cobra.Command {
	var f appFlags
	cmd := &cobra.Command{Use: "create NAME", Short: "Make an application; its secret is printed, once", Args: exactly(1)}
	cmd.RunE = runs(func(ctx context.Context, args []string) error {
		body := f.body(cmd)
		body["name"], body["app_type"], body["is_first_party"] = args[0], f.kind, !f.thirdParty
		var made whole[application]
		if err := p.manage(ctx, http.MethodPost, "clients", nil, body, &made); err != nil {
			return err
		}
		return p.show(made, func() { p.credentials(&made.V) })
	})
	cmd.Flags().StringVar(&f.kind, "type", "regular_web", "regular_web, spa, native or non_interactive")
	f.add(cmd, "")
	return cmd
}

func (p *program) appsUpdate() *cobra.Command {
	var f appFlags
	var name string
	cmd := &cobra.Command{Use: "update APP", Short: "Change an application, such as the URLs that users come back to", Args: exactly(1)}
	cmd.RunE = runs(func(ctx context.Context, args []string) error {
		body := f.body(cmd)
		if cmd.Flags().Changed("name") {
			body["name"] = name
		}
		if len(body) == 0 {
			return &usageError{errors.New("nothing was said to change")}
		}
		a, err := p.findApp(ctx, args[0])
		if err != nil {
			return err
		}
		var changed whole[application]
		if err := p.manage(ctx, http.MethodPatch, at("clients", a.V.ClientID), nil, body, &changed); err != nil {
			return err
		}
		return p.show(changed, func() { p.say("The application %s was changed.", changed.V.Name) })
	})
	cmd.Flags().StringVar(&name, "name", "", "another name")
	f.add(cmd, "; they replace those that are there")
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
