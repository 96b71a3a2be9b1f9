package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/perdure/perdure/internal/pgtest"
	"github.com/perdure/perdure/pgidentity"
)

// TestDatabaseScripts runs scripts that have a PostgreSQL server: without one they are skipped, or fail where everything is to
// be tested.
func TestDatabaseScripts(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t)
	c.Exec(t, "postgres", "CREATE DATABASE orders")
	c.Exec(t, "orders", "CREATE TABLE items (name text); INSERT INTO items VALUES ('bolts')")
	params := scripts(t, "ADMIN="+c.Admin("postgres"), "FOLDER="+c.Folder, fmt.Sprint("PORT=", c.Port))
	params.Dir = "testdata/postgres"
	t.Run("scripts", func(t *testing.T) { testscript.Run(t, params) })

	for query, what := range map[string]string{
		"SELECT rolname::text FROM pg_authid WHERE rolpassword IS NOT NULL":                                        "roles with a password",
		"SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'perdure_lease_%'":                                  "roles of leases that are left",
		"SELECT type || ' ' || auth_method FROM pg_hba_file_rules WHERE auth_method <> 'cert' AND type <> 'local'": "lines of the network without a certificate",
		"SELECT type || ' ' || auth_method FROM pg_hba_file_rules WHERE auth_method <> 'peer' AND type = 'local'":  "lines of the socket other than peer",
	} {
		if got := c.Query(t, "postgres", query); len(got) > 0 {
			t.Errorf("%s: %q", what, got)
		}
	}
}

// query runs a statement on the server "main" as the managed identity under which it was started, or as the role of the lease
// LEASE: query DATABASE SQL. It prints who it was and the first column.
func query() {
	if err := printQuery(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func printQuery(database, sql string) (err error) {
	ctx := context.Background()
	endpoint, err := pgidentity.EndpointFrom(os.Getenv)
	if err != nil {
		return err
	}
	config, err := pgx.ParseConfig("dbname=" + database)
	if err != nil {
		return err
	}
	source := pgidentity.NewSource(endpoint)
	if lease := os.Getenv("LEASE"); lease != "" {
		source = pgidentity.Leased(endpoint, lease)
	}
	if err := pgidentity.Configure(ctx, config, "main", source); err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return err
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	fmt.Println(config.User+":", strings.Join(texts, " "))
	return nil
}
