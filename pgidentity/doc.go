// Package pgidentity logs a program into PostgreSQL as its managed identity, without a password: by a client certificate that is
// good for minutes, whose key is made here and stays here, and which is renewed ahead of time.
//
//	endpoint, err := pgidentity.EndpointFrom(os.Getenv)
//	…
//	config, err := pgxpool.ParseConfig("dbname=orders")
//	…
//	config.BeforeConnect = pgidentity.As("main", pgidentity.NewSource(endpoint))
//	pool, err := pgxpool.NewWithConfig(ctx, config)
//
// The connection string says which database, and may say where the server is if that differs from what is registered; the role, the
// certificate and the authority that the server's certificate is verified by come with the certificate. With database/sql
// it is sql.OpenDB of a Connector.
//
// What logs in elsewhere is a Login as well: that of package pgidentity/entra in Azure, Local on a developer's machine. Choose
// takes the one that a setting names, so that the code is the same everywhere.
//
// The server part is package pgidentity/authority.
package pgidentity
