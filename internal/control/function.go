package control

import "time"

// Function is a function of the app.
type Function struct {
	Name string `json:"name"`
	// Trigger says what runs it: "http", "blob", "queue", "timer", "stream",
	// "window", "change", "ended".
	Trigger string `json:"trigger"`
	// Source is what it is triggered by: a pattern of requests, the name of a resource.
	Source string `json:"source,omitempty"`
	// Policy is empty for HTTP functions.
	Policy *Policy `json:"policy,omitempty"`
	// Depth is how many events it has still to handle.
	Depth int64 `json:"depth"`
	// Oldest is when the oldest of them arrived; zero without one.
	Oldest      time.Time `json:"oldest,omitzero"`
	DeadLetters int64     `json:"deadLetters"`
}

// Policy says how the events of a function are handled, as far as it is not the default.
type Policy struct {
	Attempts    int    `json:"attempts,omitempty"`
	Concurrency int    `json:"concurrency,omitempty"`
	Timeout     string `json:"timeout,omitempty"`
}
