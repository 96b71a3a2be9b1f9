package control

import (
	"context"
	"net/http"
	"time"

	"github.com/perdure/perdure/internal/problem"
)

// Streams are the streams of an app.
type Streams interface {
	// Streams returns all of them.
	Streams(ctx context.Context) ([]Stream, error)
	// Replay has a consumer group read a stream once more.
	Replay(ctx context.Context, stream string, r Replay) error
}

// Stream is a stream of the app.
type Stream struct {
	Name       string      `json:"name"`
	Partitions []Partition `json:"partitions"`
	Groups     []Group     `json:"groups"`
}

// Partition is a part of a stream that is in order.
type Partition struct {
	Number int `json:"number"`
	// First and Last are the positions of the oldest and the newest event; Last is
	// smaller than First when there is none.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// Group is a function that reads a stream.
type Group struct {
	Name string `json:"name"`
	// Lag is how many events it has still to read.
	Lag uint64 `json:"lag"`
	// Positions are the last event read of each partition.
	Positions []uint64 `json:"positions"`
}

// Replay says from where on a group reads a stream once more: a position of all
// partitions, or a time.
type Replay struct {
	Group    string    `json:"group"`
	Position uint64    `json:"position,omitempty"`
	Time     time.Time `json:"time,omitzero"`
}

func (s *server) routeStreams() {
	s.handle("GET streams", func(r *http.Request) (any, error) {
		if err := readQuery(r).done(); err != nil {
			return nil, err
		}
		return all(s.Streams.Streams(r.Context()))
	})
	s.handle("GET streams/{stream}", func(r *http.Request) (any, error) {
		found, err := s.Streams.Streams(r.Context())
		if err != nil {
			return nil, err
		}
		for _, one := range found {
			if one.Name == named(r, "stream") {
				return one, nil
			}
		}
		return nil, missing("stream", named(r, "stream"))
	})
	s.handle("POST streams/{stream}/replay", func(r *http.Request) (any, error) {
		var replay Replay
		if err := readJSON(r, maxSmallBody, false, &replay); err != nil {
			return nil, err
		}
		if replay.Group == "" {
			return nil, problem.Invalid(problem.Fault{In: "body", Name: "group", Detail: "the name of a function is needed"})
		}
		if replay.Position != 0 && !replay.Time.IsZero() {
			return nil, badBody("give a position or a time, not both")
		}
		return nil, s.Streams.Replay(r.Context(), named(r, "stream"), replay)
	})
}
