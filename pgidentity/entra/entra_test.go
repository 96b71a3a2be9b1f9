package entra_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/jackc/pgx/v5"
	mssql "github.com/microsoft/go-mssqldb"

	"github.com/perdure/perdure/pgidentity"
	"github.com/perdure/perdure/pgidentity/entra"
)

// credential gives a token that says what it is for.
type credential struct{ err error }

func (c credential) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token for " + strings.Join(o.Scopes, " "), ExpiresOn: time.Now().Add(time.Hour)}, c.err
}

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	login := entra.PostgreSQL(credential{})
	for _, dsn := range []string{
		"postgres://app@name.postgres.database.azure.com/orders", "postgres://app@name.postgres.database.azure.com/orders?sslmode=disable",
		"postgres://app@name.postgres.database.azure.com/orders?sslmode=require", "postgres://app@name.postgres.database.azure.com/orders?sslmode=verify-full",
	} {
		config, err := pgx.ParseConfig(dsn)
		if err != nil {
			t.Fatal(err)
		}
		if err := login(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		if config.Password != "token for "+entra.ScopePostgreSQL || config.User != "app" || len(config.Fallbacks) != 0 {
			t.Errorf("%s: %+v", dsn, config)
		}
		if c := config.TLSConfig; c == nil || c.InsecureSkipVerify || c.ServerName != "name.postgres.database.azure.com" {
			t.Errorf("%s: the token goes to anybody: %+v", dsn, c)
		}
	}
	config, err := pgx.ParseConfig("postgres://app:geheim@name.postgres.database.azure.com/orders")
	if err != nil {
		t.Fatal(err)
	}
	if err := login(t.Context(), config); !errors.Is(err, pgidentity.ErrPassword) || strings.Contains(err.Error(), "geheim") {
		t.Errorf("with a password: %v", err)
	}
	config.Password = ""
	gone := errors.New("gone")
	if err := entra.PostgreSQL(credential{gone})(t.Context(), config); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
}

func TestSQL(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"sqlserver://name.database.windows.net?database=orders":                                            "",
		"sqlserver://name.database.windows.net?database=orders&encrypt=disable":                            "",
		"sqlserver://name.database.windows.net?database=orders&encrypt=strict":                             "",
		"sqlserver://name.database.windows.net?database=orders&encrypt=true&TrustServerCertificate=true":   "TrustServerCertificate",
		"sqlserver://sa:geheim@name.database.windows.net?database=orders":                                  "password",
		"sqlserver://name.database.windows.net:x?geheim":                                                   "connection string",
		"server=name.database.windows.net;database=orders;encrypt=true;hostnameincertificate=*.other.test": "",
	} {
		connector, err := entra.SQL(dsn, credential{})
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("%s: %v, want %q", dsn, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		if _, ok := connector.(*mssql.Connector); !ok {
			t.Errorf("%s: %T", dsn, connector)
		}
	}
}
