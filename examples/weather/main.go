// Command weather is an API on PostgreSQL that logs in without a password: its managed identity gets certificates that are good
// for minutes, and the role that they log in as may read and write rows, no more. Its tables are made and changed by a role that
// is there for as long as that takes. The key by which weather stations report is in the vault.
//
//	GET  /weatherforecast   the next five days
//	POST /observations      what a station has measured; X-Station-Key has the key
//
// It serves http://localhost:8082 and keeps what is Perdure's in the folder weather-data. PERDURE_LISTEN and PERDURE_DATA override
// both. WEATHER_DATABASE is the connection string (default "host=localhost port=5433 dbname=weather"), WEATHER_LOGIN how to log in:
// "perdure" (default), or "local" for a database on a developer's machine that lets its user in by itself. Make run-weather
// sets up a PostgreSQL of its own and everything else.
package main

import (
	"cmp"
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/vault"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	w, err := newWeather(perdure.ConfigFromEnv(config), cmp.Or(os.Getenv("WEATHER_DATABASE"), database), os.Getenv("WEATHER_LOGIN"))
	if err != nil {
		log.Fatal(err)
	}
	if err := w.run(ctx); err != nil {
		log.Fatal(err)
	}
}

// database is the default connection string. There is no password in it, and none anywhere else.
const database = "host=localhost port=5433 dbname=weather"

// config says what the app has beside its functions: identities, so that it is somebody for the database, and a vault, of which it may
// read the secrets that are its own.
var config = perdure.Config{
	Title: "Weather", Version: "1", Listen: "localhost:8082", Data: "weather-data",
	Identity: &identity.Config{NoLogin: true},
	Vault:    &vault.Config{Grants: []vault.Grant{{Member: "self", Role: "secrets-user", Name: "weather-*"}}},
}
