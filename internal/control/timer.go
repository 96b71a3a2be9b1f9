package control

import "time"

// Timer is a function that is triggered by time.
type Timer struct {
	Function string `json:"function"`
	// Schedule is as it was written.
	Schedule string `json:"schedule"`
	// Next is when it runs next; zero when it never does.
	Next time.Time `json:"next,omitzero"`
	// Last is the latest tick that was taken; zero without one.
	Last time.Time `json:"last,omitzero"`
}
