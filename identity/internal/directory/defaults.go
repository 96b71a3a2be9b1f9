package directory

import (
	"context"
	"errors"
)

// ManagementAPI is the identifier of the API that administers the provider.
func (e *Env) ManagementAPI() string { return e.Issuer + "api/v2/" }

// ManagementPermissions are those of the management API, by the names Auth0 gives them.
func ManagementPermissions() []Permission {
	var all []Permission
	for _, noun := range []string{
		"users", "roles", "role_members", "clients", "client_keys", "client_credentials", "resource_servers", "client_grants", "connections", "managed_identities", "signing_keys",
	} {
		for _, verb := range []string{"read", "create", "update", "delete"} {
			all = append(all, Permission{Value: verb + ":" + noun})
		}
	}
	return append(all,
		Permission{Value: "read:users_app_metadata"}, Permission{Value: "update:users_app_metadata"},
		Permission{Value: "create:users_app_metadata"}, Permission{Value: "delete:users_app_metadata"},
		Permission{Value: "create:user_tickets"},
		Permission{Value: "read:authentication_methods"}, Permission{Value: "delete:authentication_methods"},
		Permission{Value: "read:sessions"}, Permission{Value: "delete:sessions"},
		Permission{Value: "read:refresh_tokens"}, Permission{Value: "delete:refresh_tokens"},
		Permission{Value: "read:logs"}, Permission{Value: "read:logs_users"},
		Permission{Value: "read:stats"},
	)
}

// EnsureDefaults makes what is there from the start: the default connection and the management API.
// What is there already stays as it is, but for permissions of the management API that are new.
func (e *Env) EnsureDefaults(ctx context.Context) error {
	if _, err := e.ConnectionByName(ctx, DefaultConnection); errors.Is(err, ErrNotFound) {
		_, err := e.CreateConnection(ctx, Itself, &Connection{Name: DefaultConnection, Strategy: StrategyDatabase, ForAll: true})
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if _, err := e.APIByIdentifier(ctx, e.ManagementAPI()); errors.Is(err, ErrNotFound) {
		_, err := e.CreateAPI(ctx, Itself, &API{
			Name: "Management API", Identifier: e.ManagementAPI(), Permissions: ManagementPermissions(), System: true,
			EnforcePolicies: true, TokenDialect: DialectPermissions, SkipConsent: true,
		})
		return err
	}
	_, err := e.PublishPermissions(ctx, e.ManagementAPI(), "", ManagementPermissions())
	return err
}
