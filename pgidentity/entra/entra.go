// Package entra logs a program into databases of Azure by tokens of Microsoft Entra, as package pgidentity does by
// certificates elsewhere: Azure Database for PostgreSQL, and Azure SQL.
//
// It was written from Microsoft's documentation and is tested with a credential that is made up; it has not been tried
// against Azure itself.
package entra

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/jackc/pgx/v5"
	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

	"github.com/perdure/perdure/pgidentity"
)

// The scopes that tokens are asked for, in Azure's public cloud.
const (
	ScopePostgreSQL = "https://ossrdbms-aad.database.windows.net/.default"
	ScopeSQL        = "https://database.windows.net/.default"
)

// PostgreSQL logs into Azure Database for PostgreSQL: each connection gets a token as its password. The user of the connection
// string is the name of the role that was made for the identity. The token goes only to a server whose certificate
// an authority of the system, or sslrootcert together with sslmode=verify-full, vouches for.
func PostgreSQL(credential azcore.TokenCredential) pgidentity.Login {
	return func(ctx context.Context, config *pgx.ConnConfig) error {
		if err := pgidentity.Check(config); err != nil {
			return err
		}
		if config.TLSConfig == nil || config.TLSConfig.InsecureSkipVerify {
			config.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: config.Host}
		}
		config.Fallbacks = nil
		token, err := tokenFor(ctx, credential, ScopePostgreSQL)
		if err != nil {
			return err
		}
		config.Password = token
		return nil
	}
}

// SQL returns a connector for Azure SQL, for sql.OpenDB: each connection gets a token. The connection string is one of
// go-mssqldb without a user and a password, such as "sqlserver://NAME.database.windows.net?database=orders".
func SQL(dsn string, credential azcore.TokenCredential) (driver.Connector, error) {
	config, err := msdsn.Parse(dsn)
	if err != nil { // whose text may have the string
		return nil, errors.New("entra: want a connection string of go-mssqldb")
	}
	if config.Password != "" || config.User != "" {
		return nil, errors.New("entra: there is a user or a password in the connection string: take them away, the identity logs in by a token")
	}
	if config.Encryption != msdsn.EncryptionRequired && config.Encryption != msdsn.EncryptionStrict { // go-mssqldb's default takes any server
		config.Encryption, config.TrustServerCertificate = msdsn.EncryptionRequired, false
		if config.TLSConfig, err = msdsn.SetupTLS("", "", false, config.Host, "1.2"); err != nil {
			return nil, fmt.Errorf("entra: %w", err)
		}
	}
	if config.TLSConfig == nil || config.TLSConfig.InsecureSkipVerify {
		return nil, errors.New("entra: the connection string takes any certificate of the server: remove TrustServerCertificate, or the token goes to whoever answers")
	}
	return mssql.NewSecurityTokenConnector(config, func(ctx context.Context) (string, error) {
		return tokenFor(ctx, credential, ScopeSQL)
	})
}

// tokenFor returns a token; the credential keeps it as long as it is good.
func tokenFor(ctx context.Context, credential azcore.TokenCredential, scope string) (string, error) {
	token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
	if err != nil {
		return "", fmt.Errorf("entra: token for a database: %w", err)
	}
	return token.Token, nil
}
