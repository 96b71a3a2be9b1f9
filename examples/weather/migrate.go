package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/pgidentity"
)

// migrations are statements that each change the tables once, in the order of their names.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrationTime is how long a migration may take, and the role that makes it lasts at most.
const migrationTime = 5 * time.Minute

// migrate brings the tables up to date. The app itself may not change tables: a role is made that may, and ends with this.
func (w *weather) migrate(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, migrationTime)
	defer cancel()
	config := w.pool.Config().ConnConfig
	login := pgidentity.Local()
	if w.login != pgidentity.SettingLocal {
		lease, err := w.app.LeaseDatabase(ctx, perdure.DatabaseLease{
			Server: server, Database: config.Database, Access: "ddl", For: migrationTime,
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, lease.End(context.WithoutCancel(ctx))) }()
		login = lease.Login
	}
	if err := login(ctx, config); err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	return applyMigrations(ctx, conn)
}

// migrationLock keeps two programs from migrating at a time.
const migrationLock = 8082

func applyMigrations(ctx context.Context, conn *pgx.Conn) error {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	slices.Sort(names)
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, migrationLock)
		if err == nil {
			_, err = tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())`)
		}
		for _, name := range names {
			if err == nil {
				err = applyMigration(ctx, tx, name)
			}
		}
		return err
	})
}

func applyMigration(ctx context.Context, tx pgx.Tx, name string) error {
	done, err := tx.Exec(ctx, `INSERT INTO migrations (name) VALUES ($1) ON CONFLICT DO NOTHING`, name)
	if err != nil || done.RowsAffected() == 0 {
		return err
	}
	statements, err := migrations.ReadFile(name)
	if err == nil {
		_, err = tx.Exec(ctx, string(statements))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
