// Command weather is an API on PostgreSQL that logs in without a password: its managed identity gets certificates that are good
// for minutes, and the role that they log in as may read and write rows, no more. Its tables are made and changed by a role that
// is there for as long as that takes. The key by which weather stations report is in the vault.
//
//	GET  /weatherforecast                       the next five days
//	POST /observations                          what a station has measured; X-Station-Key has the key
//	GET  /weatherforecast/secure                the next ten days; needs the permission read:weather
//	POST /weatherforecast/secure/observations   what was measured; needs the permission write:weather
//
// Before it stands its gateway, http://localhost:8082, which does what the manifests in the folder manifests say, as Kong would
// in Kubernetes: what is below /weatherforecast/secure needs a token, and is answered five times a minute. The app itself, with the
// provider of tokens, is http://localhost:8084, and keeps what is Perdure's in the folder weather-data.
//
// WEATHER_GATEWAY, PERDURE_LISTEN and PERDURE_DATA override these three, and WEATHER_MANIFESTS the folder of the manifests.
// WEATHER_DATABASE is the connection string (default "host=localhost port=5433 dbname=weather"), WEATHER_LOGIN how to log in:
// "perdure" (default), or "local" for a database on a developer's machine that lets its user in by itself. Make run-weather
// sets up a PostgreSQL of its own and everything else.
package main

import (
	"cmp"
	"context"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/gateway"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/vault"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := perdure.ConfigFromEnv(config)
	c.Gateway = gatewayConfig(c.Data, cmp.Or(os.Getenv("WEATHER_MANIFESTS"), manifests), cmp.Or(os.Getenv("WEATHER_GATEWAY"), "localhost:8082"))
	if err := os.MkdirAll(written(c.Data), 0o700); err != nil {
		log.Fatal(err)
	}
	w, err := newWeather(c, cmp.Or(os.Getenv("WEATHER_DATABASE"), database), os.Getenv("WEATHER_LOGIN"))
	if err != nil {
		log.Fatal(err)
	}
	if err := w.run(ctx); err != nil {
		log.Fatal(err)
	}
}

// database is the default connection string. There is no password in it, and none anywhere else.
const database = "host=localhost port=5433 dbname=weather"

// config says what the app has beside its functions: identities, so that it is somebody for the database and others for it, and a
// vault, of which it may read the secrets that are its own.
var config = perdure.Config{
	Title: "Weather", Version: "1", Listen: "localhost:8084", Data: "weather-data",
	Identity: &identity.Config{
		API: identity.API{Identifier: "https://weather.example.com", Name: "Weather"}, NoLogin: true,
	},
	Vault: &vault.Config{Grants: []vault.Grant{{Member: "self", Role: "secrets-user", Name: "weather-*"}}},
}

// manifests is the folder that says what the gateway does.
const manifests = "examples/weather/manifests"

// written is the folder of the manifests that "perdure keys export" writes: whose tokens are good.
func written(data string) string { return filepath.Join(data, "manifests") }

func gatewayConfig(data, manifests, listen string) *gateway.Config {
	return &gateway.Config{Files: []string{manifests, written(data)}, Listen: listen}
}
