package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/internal/pgtest"
	"github.com/perdure/perdure/pgidentity/authority"
	"github.com/perdure/perdure/vault"
)

// TestWeather goes the way of scripts/weather.sh: a database server that knows the app by its certificate alone, and a gateway that
// knows the key that signs tokens.
func TestWeather(t *testing.T) {
	cluster := pgtest.Start(t)
	cluster.Exec(t, "postgres", "CREATE DATABASE weather")
	c := config
	dir := t.TempDir()
	c.Data, c.Listen, c.Logger = filepath.Join(dir, "weather-data"), "localhost:0", slog.New(slog.DiscardHandler)
	c.Gateway = gatewayConfig(c.Data, filepath.Join(dir, manifests), "localhost:0")
	c.Gateway.AccessLog = filepath.Join(dir, "access.log")
	for _, name := range []string{"manifests", "manifests-oidc"} { // the guide changes them
		if err := os.CopyFS(filepath.Join(dir, "examples/weather", name), os.DirFS(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(written(c.Data), 0o700); err != nil {
		t.Fatal(err)
	}
	w, err := newWeather(c, fmt.Sprintf("host=localhost port=%d dbname=weather", cluster.Port), "")
	if err != nil {
		t.Fatal(err)
	}
	// The limit begins anew with a minute: it must not while six requests are sent.
	now := clock.NewManual(time.Now())
	if err := w.app.Start(clock.With(t.Context(), now)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.pool.Close(); _ = w.app.Stop(context.Background()) })
	plain, _ := w.app.GatewayAddr()
	base := "http://" + plain

	if status, body := send(t, "GET", base+"/weatherforecast", "", ""); status != http.StatusServiceUnavailable {
		t.Errorf("before the database is there: %d %s", status, body)
	}
	operator := control.NewClient(c.Data)
	do := func(method, path string, body any) {
		t.Helper()
		if err := operator.Do(t.Context(), method, path, nil, body, nil); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	do("POST", "databases/servers", authority.Server{
		Name: server, Host: "localhost", Port: cluster.Port, Admin: cluster.Admin("postgres"), Databases: []string{"weather"},
	})
	do("POST", "databases/servers/main/trust", authority.TrustRequest{Apply: true, Folder: cluster.Folder})
	if err := w.migrate(t.Context()); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	if err := w.migrate(t.Context()); err != nil {
		t.Fatalf("migrate again: %v", err)
	}
	w.ready.Store(true)
	if status, body := send(t, "GET", base+"/weatherforecast", "", ""); status != http.StatusInternalServerError {
		t.Errorf("without a right on the database: %d %s", status, body)
	}
	do("POST", "databases/servers/main/grants", authority.GrantRequest{
		Identity: "self", Grant: authority.Grant{Database: "weather", Access: authority.Writer},
	})
	do("POST", "vault/generated", map[string]any{"vault": "default", "name": "weather-station-key", "length": 32})

	status, body := send(t, "GET", base+"/weatherforecast", "", "")
	var all []Forecast
	if err := json.Unmarshal([]byte(body), &all); status != http.StatusOK || err != nil || len(all) != days {
		t.Fatalf("%d %s, %v", status, body, err)
	}
	for i, f := range all {
		want := time.Now().AddDate(0, 0, i+1).Format(time.DateOnly)
		if f.Date != want || f.Summary == "" || f.TemperatureC < -20 || f.TemperatureC > 40 || f.TemperatureF != 32+f.TemperatureC*9/5 {
			t.Errorf("day %d, %s: %+v", i, want, f)
		}
	}

	const report = `{"station":"roof","temperatureC":60}`
	if status, body := send(t, "POST", base+"/observations", "guessed", report); status != http.StatusUnauthorized {
		t.Errorf("with another key: %d %s", status, body)
	}
	key, err := w.app.Vault().Value(t.Context(), vault.Secret("weather-station-key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{`{"station":"roof","temperatureC":100}`, `{"temperatureC":1}`, `{"station":"roof"}`} {
		if status, body := send(t, "POST", base+"/observations", key, bad); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", bad, status, body)
		}
	}
	if status, body := send(t, "POST", base+"/observations", key, report); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, body)
	}
	_, body = send(t, "GET", base+"/weatherforecast", "", "")
	if err := json.Unmarshal([]byte(body), &all); err != nil || all[0].TemperatureC != 60 || all[4].TemperatureC == 60 {
		t.Errorf("after a hot day was reported: %s, %v", body, err)
	}

	_, port, err := net.SplitHostPort(w.app.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	f := &front{
		t: t, w: w, clock: now, operator: operator, base: base, issuer: "http://localhost:" + port + "/", dir: dir, log: c.Gateway.AccessLog,
	}
	f.tools()
	f.run("perdure keys export --format kubernetes --consumer weather-clients --file weather-data/manifests/weather-clients.yaml")
	f.reload()
	f.test()
	f.guide("../../docs/guides/gateway-kubernetes.md")

	// What a thief of the app's role could do, and no more.
	for _, statement := range []string{"DROP TABLE climate", "CREATE TABLE mine (n int)", "ALTER TABLE observations ADD n int"} {
		if _, err := w.pool.Exec(t.Context(), statement); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %v, want insufficient privilege", statement, err)
		}
	}
	if all := cluster.Query(t, "postgres", "SELECT rolname::text FROM pg_authid WHERE rolpassword IS NOT NULL"); len(all) > 0 {
		t.Errorf("roles with a password: %v", all)
	}
	if all := cluster.Query(t, "postgres", "SELECT rolname::text FROM pg_roles WHERE rolname LIKE '%lease%'"); len(all) > 0 {
		t.Errorf("roles of migrations are left: %v", all)
	}
	for _, method := range cluster.Query(t, "postgres", "SELECT type || ' ' || auth_method FROM pg_hba_file_rules") {
		if !strings.HasSuffix(method, " cert") && method != "local peer" && !strings.HasSuffix(method, " reject") {
			t.Errorf("pg_hba.conf lets in by %q", method)
		}
	}

	f.rotate()
	if err := w.app.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	f.logged()
}

// send sends a request.
func send(t *testing.T, method, url, key, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("X-Station-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestPasswordsAreRefused(t *testing.T) {
	t.Parallel()
	c := config
	c.Data, c.Listen, c.Logger = filepath.Join(t.TempDir(), "data"), "localhost:0", slog.New(slog.DiscardHandler)
	w, err := newWeather(c, "host=localhost user=x password=y dbname=weather", "")
	if err != nil {
		t.Fatal(err)
	}
	defer w.pool.Close()
	if _, err := w.pool.Exec(t.Context(), "SELECT 1"); err == nil || !strings.Contains(err.Error(), "password") {
		t.Errorf("a connection string with a password: %v", err)
	}
	if _, err := newWeather(c, "host=localhost", "other"); err == nil {
		t.Error("another way to log in is taken")
	}
}
