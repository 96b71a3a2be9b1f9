package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// How far the forecast looks, in days: for everybody, and for those who have the permission to read more.
const (
	days       = 5
	daysSecure = 10
)

// Forecast is the weather of a day.
type Forecast struct {
	Date         string `json:"date" doc:"As ISO 8601 has it"`
	TemperatureC int    `json:"temperatureC"`
	TemperatureF int    `json:"temperatureF"`
	Summary      string `json:"summary"`
}

// forecasts is an answer.
type forecasts struct {
	Days []Forecast `body:""`
}

// forecastQuery begins with what was measured in the last hours, and comes closer to what is usual each day. How much a day
// differs from the usual follows from its date.
const forecastQuery = `
WITH measured AS (
	SELECT avg(temperature) AS temperature FROM observations WHERE observed > $1::timestamptz - interval '6 hours' AND observed <= $1
), coming AS (
	SELECT $1::date + n AS date, n FROM generate_series(1, $2::int) AS n
)
SELECT date, summary,
	round(usual + coalesce((SELECT temperature FROM measured) - usual, 0) / n)::int AS temperature
FROM coming, LATERAL (
	SELECT summary, low + (high - low) * (hashtext(date::text) & 255) / 255.0 AS usual FROM climate WHERE month = extract(month FROM date)
) AS c
ORDER BY date`

// forecast answers with the next days.
func (w *weather) forecast(days int) func(context.Context, *struct{}) (*forecasts, error) {
	return func(ctx context.Context, _ *struct{}) (*forecasts, error) {
		if err := w.usable(); err != nil {
			return nil, err
		}
		rows, err := w.pool.Query(ctx, forecastQuery, time.Now(), days)
		if err != nil {
			return nil, err
		}
		all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Forecast, err error) {
			var date time.Time
			err = row.Scan(&date, &f.Summary, &f.TemperatureC)
			f.Date, f.TemperatureF = date.Format(time.DateOnly), 32+f.TemperatureC*9/5
			return f, err
		})
		return &forecasts{all}, err
	}
}
