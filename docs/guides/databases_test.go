package guides_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/internal/pgtest"
	"github.com/perdure/perdure/pgidentity"
	"github.com/perdure/perdure/pgidentity/authority"
	pgentra "github.com/perdure/perdure/pgidentity/entra"
)

// What follows is in the guide, word for word.

func openPool(ctx context.Context, app *perdure.App, dsn string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn) // "dbname=shop": no user, and no password
	if err != nil {
		return nil, err
	}
	config.BeforeConnect = app.Database("main")
	config.MaxConnLifetime = 10 * time.Minute
	return pgxpool.NewWithConfig(ctx, config)
}

func countObservations(ctx context.Context) error {
	endpoint, err := pgidentity.EndpointFrom(os.Getenv)
	if err != nil {
		return err
	}
	connector, err := pgidentity.Connector("dbname=weather", pgidentity.As("main", pgidentity.NewSource(endpoint)))
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	var who string
	var n int
	if err := db.QueryRowContext(ctx, `SELECT current_user, count(*) FROM observations`).Scan(&who, &n); err != nil {
		return err
	}
	fmt.Printf("%s: %d observations\n", who, n)
	return nil
}

func chooseLogin(setting string, app *perdure.App) (pgidentity.Login, error) {
	choices := pgidentity.Choices{Perdure: app.Database("main")}
	if setting == pgidentity.SettingEntra {
		credential, err := azidentity.NewDefaultAzureCredential(nil)
		if err != nil {
			return nil, err
		}
		choices.Entra = pgentra.PostgreSQL(credential)
	}
	return pgidentity.Choose(setting, choices)
}

func migrateShop(ctx context.Context, app *perdure.App) (err error) {
	lease, err := app.LeaseDatabase(ctx, perdure.DatabaseLease{
		Server: "main", Database: "shop", Access: "ddl", For: 5 * time.Minute,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lease.End(context.WithoutCancel(ctx))) }()
	config, err := pgx.ParseConfig("dbname=shop")
	if err != nil {
		return err
	}
	if err := lease.Login(ctx, config); err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS orders (id text PRIMARY KEY, closed date)`)
	return err
}

var (
	Purge     = durable.NewActivity[string, string]("Purge")
	CloseYear = durable.NewOrchestration[string, string]("CloseYear")
)

func purge(app *perdure.App) func(context.Context, string) (string, error) {
	return func(ctx context.Context, until string) (string, error) {
		info, _ := durable.Info(ctx)
		lease, err := app.LeaseDatabase(ctx, perdure.DatabaseLease{
			Server: "main", Database: "shop", Access: "writer", For: time.Hour, InstanceID: info.InstanceID,
		})
		if err != nil {
			return "", err
		}
		connector, err := pgidentity.Connector("dbname=shop", lease.Login)
		if err != nil {
			return "", err
		}
		db := sql.OpenDB(connector)
		defer db.Close()
		_, err = db.ExecContext(ctx, `DELETE FROM orders WHERE closed < $1`, until)
		return lease.Role, err
	}
}

// Here the guide's words end.

// startShop starts an app that a PostgreSQL server with the database shop lets in, as a writer.
func startShop(t *testing.T) (*perdure.App, *pgtest.Cluster) {
	t.Helper()
	cluster := pgtest.Start(t)
	cluster.Exec(t, "postgres", "CREATE DATABASE shop")
	if cluster.User != "postgres" { // so that there is an administrator of that name everywhere
		cluster.Exec(t, "postgres", "CREATE ROLE postgres SUPERUSER LOGIN")
	}
	data := filepath.Join(t.TempDir(), "data")
	app := perdure.New(perdure.Config{
		Title: "Shop", Data: data, Listen: "localhost:0", Logger: slog.New(slog.DiscardHandler), Identity: &identity.Config{NoLogin: true},
	})
	app.Add(perdure.HTTP("GET /", func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }), Purge.Impl(purge(app)), CloseYear.Impl(func(ctx *durable.Context, until string) (string, error) {
		return Purge.Call(ctx, until)
	}))
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Stop(context.Background()) })
	operator := control.NewClient(data)
	tell(t, operator, "databases/servers", authority.Server{
		Name: "main", Host: "localhost", Port: cluster.Port, Admin: cluster.Admin("postgres"), Databases: []string{"shop"},
	})
	tell(t, operator, "databases/servers/main/trust", authority.TrustRequest{Apply: true, Folder: cluster.Folder})
	tell(t, operator, "databases/servers/main/grants", authority.GrantRequest{
		Identity: "self", Grant: authority.Grant{Database: "shop", Access: authority.Writer},
	})
	return app, cluster
}

func tell(t *testing.T, operator *control.Client, path string, body any) {
	t.Helper()
	if err := operator.Do(t.Context(), http.MethodPost, path, nil, body, nil); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestGuideDatabases(t *testing.T) {
	t.Parallel()
	app, cluster := startShop(t)
	roles := func() []string {
		return cluster.Query(t, "postgres", "SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'perdure_lease_%'")
	}
	for range 2 {
		if err := migrateShop(t.Context(), app); err != nil {
			t.Fatalf("migrate: %v", err)
		}
	}
	if left := roles(); len(left) > 0 {
		t.Errorf("roles of migrations are left: %q", left)
	}
	pool, err := openPool(t.Context(), app, "dbname=shop")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	var who string
	err = pool.QueryRow(t.Context(), `WITH added AS (INSERT INTO orders VALUES ('1', '2025-12-31'), ('2', NULL)) SELECT current_user`).Scan(&who)
	if err != nil || who != "shop" {
		t.Fatalf("%q %v", who, err)
	}
	// What the guide says that a hole for SQL does not open. 42501 is insufficient_privilege.
	for _, statement := range []string{
		`ALTER TABLE orders ADD n int`, `DROP TABLE orders`, `CREATE TABLE mine (n int)`, `CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
		`COPY orders TO PROGRAM 'true'`, `SELECT pg_read_file('pg_hba.conf')`, `SELECT rolpassword FROM pg_authid`, `CREATE ROLE other LOGIN`,
		`SET ROLE postgres`, `SET SESSION AUTHORIZATION postgres`, `ALTER SYSTEM SET ssl = off`, `SELECT pg_reload_conf()`,
	} {
		if _, err := pool.Exec(t.Context(), statement); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	other, err := openPool(t.Context(), app, "dbname=postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	if err := other.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "pg_hba.conf") {
		t.Errorf("another database: %v", err)
	}

	// The role of an instance is there for its work, and ends with it.
	role, err := CloseYear.RunWith(t.Context(), app.Durable(), "2026-01-01")
	if err != nil || !strings.HasPrefix(role, "perdure_lease_") {
		t.Fatalf("%q %v", role, err)
	}
	if ids := cluster.Query(t, "shop", `SELECT id FROM orders`); len(ids) != 1 || ids[0] != "2" {
		t.Errorf("left: %q", ids)
	}
	for deadline := time.Now().Add(30 * time.Second); len(roles()) > 0; <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("roles outlive their instance: %q", roles())
		}
	}

	for setting, want := range map[string]string{"": "", "perdure": "", "local": "", "entra": "", "other": "no way to log in"} {
		login, err := chooseLogin(setting, app)
		if want == "" && (err != nil || login == nil) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", setting, err)
		}
	}
}

// reporting says that this process is the program that the guide starts beside the app.
const reporting = "PERDURE_GUIDE_REPORT"

// TestGuideDatabaseProgram is the program beside an app.
func TestGuideDatabaseProgram(t *testing.T) {
	if os.Getenv(reporting) == "" {
		if err := countObservations(t.Context()); !errors.Is(err, pgidentity.ErrNoIdentity) {
			t.Errorf("without an identity: %v", err)
		}
		return
	}
	if err := countObservations(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The console blocks of databases.md do what they show, one after another, with the weather example.
func TestDatabasesGuideConsole(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds programs")
	}
	cluster := pgtest.Start(t)
	cluster.Exec(t, "postgres", "CREATE DATABASE weather")
	s := newShell(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	s.must(root, "go", "build", "-o", filepath.Join(s.path, "weather"), "./examples/weather")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	report := fmt.Sprintf("#!/bin/sh\n%s=1 exec %s -test.run '^TestGuideDatabaseProgram$' | grep -v '^PASS'\n", reporting, self)
	if err := os.WriteFile(filepath.Join(s.dir, "report"), []byte(report), 0o700); err != nil {
		t.Fatal(err)
	}
	s.env = append(s.env, "PERDURE_DATA="+filepath.Join(s.dir, "weather-data"), "cluster="+cluster.Socket, "admin="+cluster.Admin("postgres"),
		fmt.Sprintf("WEATHER_DATABASE=host=localhost port=%d dbname=weather", cluster.Port),
		"WEATHER_GATEWAY=localhost:0", "WEATHER_MANIFESTS="+filepath.Join(root, "examples/weather/manifests"))

	page, err := os.ReadFile("databases.md")
	if err != nil {
		t.Fatal(err)
	}
	s.start(filepath.Join(s.path, "weather"), filepath.Join(s.dir, "weather-data"))
	for _, block := range regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		text := strings.NewReplacer("localhost:8082", "localhost:8080", "5433", strconv.Itoa(cluster.Port)).Replace(block[1])
		for _, part := range regexp.MustCompile(`(?m)^\$ `).Split(text, -1)[1:] {
			command, want, _ := strings.Cut(part, "\n")
			s.run(command, want)
		}
	}
}
