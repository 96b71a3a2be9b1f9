package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/perdure/perdure"
)

// Observation is what a station has measured.
type Observation struct {
	Station      string `json:"station" minLength:"1" maxLength:"100"`
	TemperatureC *int   `json:"temperatureC" minimum:"-90" maximum:"60"`
}

// check reports what the caller is to mend.
func (o *Observation) check() error {
	if n := utf8.RuneCountInString(o.Station); n < 1 || n > 100 {
		return perdure.NewProblem(http.StatusBadRequest, "station: want 1 to 100 characters")
	}
	if t := o.TemperatureC; t == nil || *t < -90 || *t > 60 {
		return perdure.NewProblem(http.StatusBadRequest, "temperatureC: want -90 to 60")
	}
	return nil
}

// observeIn is a report. The key that stations know comes from the vault: it stands in no configuration, and a new one counts at once.
type observeIn struct {
	Key      string      `header:"X-Station-Key"`
	Expected string      `bind:"vault:weather-station-key"`
	Body     Observation `body:""`
}

// observed is an answer without a body.
type observed struct {
	Status int `status:"204"`
}

func (w *weather) observe(ctx context.Context, in *observeIn) (*observed, error) {
	given, expected := sha256.Sum256([]byte(in.Key)), sha256.Sum256([]byte(in.Expected))
	if subtle.ConstantTimeCompare(given[:], expected[:]) != 1 {
		return nil, perdure.NewProblem(http.StatusUnauthorized, "X-Station-Key is not that of the stations")
	}
	return w.keep(ctx, &in.Body)
}

// reportIn is a report by a person or a program that has the permission, and needs no key.
type reportIn struct {
	Body Observation `body:""`
}

func (w *weather) report(ctx context.Context, in *reportIn) (*observed, error) {
	return w.keep(ctx, &in.Body)
}

// keep writes an observation down.
func (w *weather) keep(ctx context.Context, o *Observation) (*observed, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := w.usable(); err != nil {
		return nil, err
	}
	_, err := w.pool.Exec(ctx, `INSERT INTO observations (station, observed, temperature) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		o.Station, time.Now(), o.TemperatureC)
	return &observed{}, err
}
