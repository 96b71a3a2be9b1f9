package main

import (
	"math"
	"slices"
	"time"
)

// row is one result as it is printed. A figure that a workload does not have is null.
type row struct {
	Peer                string   `json:"peer"`
	Version             string   `json:"version"`
	Store               string   `json:"store"`
	Durability          string   `json:"durability"`
	Workload            string   `json:"workload"`
	Step                string   `json:"step,omitempty"`
	N                   int      `json:"n"`
	Activities          int      `json:"activities"`
	Algorithm           string   `json:"algorithm,omitempty"`
	Via                 string   `json:"via,omitempty"`
	Cached              *bool    `json:"cached,omitempty"`
	Concurrency         int      `json:"concurrency"`
	Seconds             float64  `json:"seconds"`
	PerSecond           float64  `json:"per_second"`
	ActivitiesPerSecond *float64 `json:"activities_per_second"`
	CPUMicrosPerOp      *float64 `json:"cpu_us_per_op"`
	P50Ms               *float64 `json:"p50_ms"`
	P99Ms               *float64 `json:"p99_ms"`
	PeakRSSMB           *float64 `json:"peak_rss_mb"`
	WaitingRSSMB        *float64 `json:"waiting_rss_mb"`
	ReadySeconds        *float64 `json:"ready_seconds"`
	PayloadBytes        int      `json:"payload_bytes"`
	DBBytes             *int64   `json:"db_bytes"`
	Rep                 int      `json:"rep"`
}

// setTotals fills the rates of n pieces of work, each with the given number of activities, done in total.
func (r *row) setTotals(n, activities int, total time.Duration) {
	r.N, r.Activities = n, activities
	r.Seconds = round(total.Seconds(), 6)
	r.PerSecond = round(float64(n)/total.Seconds(), 3)
	if activities > 0 {
		r.ActivitiesPerSecond = new(round(float64(n*activities)/total.Seconds(), 1))
	}
}

// setCPU fills the processor time that each of n pieces of work took.
func (r *row) setCPU(n int, total time.Duration) {
	r.CPUMicrosPerOp = new(round(float64(total)/float64(time.Microsecond)/float64(n), 2))
}

// setPercentiles fills the percentiles of all samples.
func (r *row) setPercentiles(samples []time.Duration) {
	sorted := slices.Clone(samples)
	slices.Sort(sorted)
	r.P50Ms = new(milliseconds(percentile(sorted, 50)))
	r.P99Ms = new(milliseconds(percentile(sorted, 99)))
}

// percentile returns the smallest sample that at least p percent of the samples do not exceed (the nearest-rank
// definition). sorted must be in ascending order and not empty.
func percentile(sorted []time.Duration, p int) time.Duration {
	rank := (len(sorted)*p + 99) / 100
	return sorted[max(rank, 1)-1]
}

func milliseconds(d time.Duration) float64 { return round(float64(d)/float64(time.Millisecond), 4) }

func round(value float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(value*scale) / scale
}
