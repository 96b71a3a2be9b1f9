package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/pgidentity"
)

const (
	// server is the name by which the database server is registered (perdure db add).
	server = "main"
	// retryEvery is the time between attempts to reach the database at the start.
	retryEvery = 2 * time.Second
)

// weather is the application.
type weather struct {
	app   *perdure.App
	pool  *pgxpool.Pool
	login string // as WEATHER_LOGIN has it
	ready atomic.Bool
}

// newWeather makes the application. Nothing is connected yet.
func newWeather(c perdure.Config, database, login string) (*weather, error) {
	w := &weather{app: perdure.New(c), login: login}
	config, err := pgxpool.ParseConfig(database)
	if err != nil {
		return nil, err
	}
	// The code is the same wherever it runs; the environment says how to log in.
	config.BeforeConnect, err = pgidentity.Choose(login, pgidentity.Choices{Perdure: w.app.Database(server)})
	if err != nil {
		return nil, err
	}
	if w.pool, err = pgxpool.NewWithConfig(context.Background(), config); err != nil {
		return nil, err
	}
	w.app.Add(
		perdure.HTTP("GET /weatherforecast", w.forecast(days), perdure.Summary("The next five days"),
			perdure.Require(auth.Anonymous())),
		perdure.HTTP("GET /weatherforecast/secure", w.forecast(daysSecure), perdure.Summary("The next ten days"),
			perdure.Require(auth.Permission("read:weather"))),
		perdure.HTTP("POST /weatherforecast/secure/observations", w.report, perdure.Summary("Report what was measured"),
			perdure.Require(auth.Permission("write:weather"))),
		perdure.HTTP("POST /observations", w.observe, perdure.Summary("Report what a station has measured"),
			perdure.Require(auth.Anonymous())), // it looks at the key of the stations
	)
	return w, nil
}

// run serves until ctx ends.
func (w *weather) run(ctx context.Context) error {
	defer w.pool.Close()
	ctx, cancel := context.WithCancel(ctx)
	var preparing sync.WaitGroup
	defer preparing.Wait()
	defer cancel()
	preparing.Go(func() { w.prepare(ctx) })
	return w.app.Run(ctx)
}

// prepare brings the tables up to date, and tries until it can: the database may not be there yet, or not know the app.
func (w *weather) prepare(ctx context.Context) {
	for said := ""; ; {
		err := w.migrate(ctx)
		if err == nil {
			w.ready.Store(true)
			fmt.Println("weather: the database is ready")
			return
		}
		if text := err.Error(); text != said && !errors.Is(err, perdure.ErrNotRunning) && ctx.Err() == nil {
			fmt.Println("weather: the database cannot be used yet, trying again:", text)
			said = text
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryEvery):
		}
	}
}

// usable is the answer as long as the tables are not there.
func (w *weather) usable() error {
	if w.ready.Load() {
		return nil
	}
	return perdure.NewProblem(http.StatusServiceUnavailable, "the database is not ready; the log of the app says why")
}
