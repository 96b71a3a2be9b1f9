package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/perdure/perdure/internal/failpoint"
)

// moment says when a process is killed.
type moment int

const (
	atRandom moment = iota // while clients are busy
	atPoint                // when it reaches a point for the nth time; at random if it does not
	atRest                 // when nothing is under way
	early                  // before it is ready
)

// kill is one start of the program and its end.
type kill struct {
	when  moment
	point failpoint.Point
	nth   int
}

func (k kill) String() string {
	switch k.when {
	case atPoint:
		return fmt.Sprintf("%s:%d", k.point, k.nth)
	case atRest:
		return "at rest"
	case early:
		return "early"
	default:
		return "at random"
	}
}

// round is a few kills in a row. It begins with a start in which everything that was
// under way may come to rest: three deaths while the same thing runs make it a suspect
// that is given up, which is right but no subject of this test. So no round kills
// under load more than twice.
type round struct {
	kills []kill
	wait  time.Duration // how long a file waits for a decision
	idle  int           // how many waiting files are kept in memory
}

// atStart are the points that are passed before the program is ready, if there is
// something to recover, each with a point where a death leaves that.
var atStart = map[failpoint.Point]failpoint.Point{
	failpoint.EngineCharged:   failpoint.ActivityStarted,
	failpoint.EngineResuming:  failpoint.ActivityStarted,
	failpoint.DeliveryCharged: failpoint.DeliveryStarted,
}

// often are the points that are passed many times in a second, and rare those that
// are reached once or twice in a start.
var (
	often = []failpoint.Point{failpoint.CommitterGathered, failpoint.CommitterCommitted, failpoint.TurnRan,
		failpoint.EngineCommitted, failpoint.EngineApplied}
	rare = []failpoint.Point{failpoint.CollectorRemoved}
)

// plan makes rounds of so many kills in all. Every point has its turn before the first
// has its second.
func plan(rng *rand.Rand, kills int, only failpoint.Point) []round {
	points := failpoint.All()
	if only != "" {
		points = []failpoint.Point{only}
	}
	var rounds []round
	add := func(r round) {
		r.kills = r.kills[:min(kills, len(r.kills))]
		if kills -= len(r.kills); len(r.kills) > 0 {
			rounds = append(rounds, r)
		}
	}
	for kills > 0 {
		rng.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		for i, p := range points {
			if i%6 == 5 { // the very start, on what a random kill has left
				r := newRound(rng)
				r.kills = []kill{{when: atRest}, {when: atRandom}, {when: early}}
				add(r)
			}
			add(roundFor(rng, p))
		}
	}
	return rounds
}

func newRound(rng *rand.Rand) round {
	r := round{wait: 72 * time.Hour, idle: 1 + rng.IntN(2)}
	if rng.IntN(3) == 0 {
		r.wait = time.Duration(100+rng.IntN(1500)) * time.Millisecond
	}
	return r
}

// roundFor returns a round in which a process dies at p.
func roundFor(rng *rand.Rand, p failpoint.Point) round {
	r := newRound(rng)
	if cause, ok := atStart[p]; ok {
		r.kills = []kill{{when: atRest}, {atPoint, cause, 1 + rng.IntN(2)}, {atPoint, p, 1}}
		return r
	}
	nth := 1 + rng.IntN(4)
	switch {
	case slices.Contains(often, p):
		nth = 1 + rng.IntN(15)
	case slices.Contains(rare, p):
		nth = 1
	}
	r.kills = []kill{{when: atRandom}, {atPoint, p, nth}}
	return r
}
