package control

import (
	"time"

	"github.com/perdure/perdure/durable"
)

// Info says which app runs, and how it is.
type Info struct {
	// Title and Version are the app's own, from its configuration.
	Title   string `json:"title,omitempty"`
	Version string `json:"version,omitempty"`
	// Perdure is the version of this module.
	Perdure string `json:"perdure"`
	Data    string `json:"data"`
	// URL is where HTTP functions are served; empty if nowhere.
	URL     string    `json:"url,omitempty"`
	Process int       `json:"process"`
	Started time.Time `json:"started"`
	// Uptime is in seconds.
	Uptime int64 `json:"uptime"`
	// Healthy is false when the app cannot go on.
	Healthy     bool  `json:"healthy"`
	DeadLetters int64 `json:"deadLetters"`
}

// Counts are how many instances are in each state. Counting takes a while when there
// are millions.
type Counts struct {
	Instances map[durable.State]int `json:"instances"`
}
