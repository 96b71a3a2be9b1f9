package perdure

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/ticker"
	"github.com/perdure/perdure/internal/unit"
)

// Tick is the event of a timer.
type Tick = ticker.Tick

// OnTimer runs fn at the times of a schedule, once for each of its ticks. A schedule is a
// cron expression of five fields (minute, hour, day of month, month, day of week) or, with
// the second before them, six; or @hourly, @daily, @weekly, @monthly, @yearly; or
// "@every 5s", which counts from 1970. Its hours are those of UTC unless a Zone is given.
//
// The name stands in the store: it is unique among the timers of an app and must not
// change. In may take the Tick by a field tagged body. Keys may use {timer.name},
// {timer.scheduled} and {timer.last}; times are written as in RFC 3339, in UTC. A tick
// that fails is tried again by the Policy.
func OnTimer[In, Out any](name, schedule string, fn func(context.Context, *In) (*Out, error), opts ...TimerOption) Part {
	f := &timerFunction{
		eventFunction: newEventFunction("timer/"+name, fn), name: name, schedule: schedule, zone: "UTC",
	}
	for _, opt := range opts {
		opt.applyTimer(f)
	}
	return f
}

// TimerOption configures a function that a timer triggers: Policy, FunctionName, Zone,
// CatchUp, Overlap, Jitter and RunAtStart are.
type TimerOption interface{ applyTimer(*timerFunction) }

func (p Policy) applyTimer(f *timerFunction)       { p.applyTrigger(&f.eventFunction) }
func (n FunctionName) applyTimer(f *timerFunction) { n.applyTrigger(&f.eventFunction) }

// Zone names the time zone in which a schedule has its hours and days, as the IANA does:
// "Europe/Berlin". A schedule that has ticks in each hour follows the time that passes. In
// others, where the clocks are set forward, a tick that they skip comes when they are set;
// where they are set back, a tick that they show twice comes the first time alone.
type Zone string

func (z Zone) applyTimer(f *timerFunction) { f.zone = string(z) }

// CatchUp says what becomes of ticks that were due while the app did not run, while the
// machine slept, or that a clock which was set forward has passed over.
type CatchUp int

// The kinds of CatchUp.
const (
	// CatchUpLast makes up for all of them by one run, that of the last. It is the
	// default.
	CatchUpLast = CatchUp(ticker.CatchUpLast)
	// CatchUpAll makes up for each of them, up to the latest 1,000.
	CatchUpAll = CatchUp(ticker.CatchUpAll)
	// CatchUpNone passes over them.
	CatchUpNone = CatchUp(ticker.CatchUpNone)
)

func (c CatchUp) applyTimer(f *timerFunction) { f.catchUp = c }

// Overlap says what becomes of a tick that is due before an earlier one was handled.
type Overlap int

// The kinds of Overlap.
const (
	// OverlapQueue lets it wait for the earlier ones, also while they wait for their
	// next attempt. A dead letter holds up nothing. It is the default.
	OverlapQueue Overlap = iota
	// OverlapSkip passes over it.
	OverlapSkip
	// OverlapParallel runs it beside them.
	OverlapParallel
)

func (o Overlap) applyTimer(f *timerFunction) { f.overlap = o }

// Jitter delays each tick by less than this, so that what many apps do at the same time
// is spread. The delay of a tick is the same on each machine and after each restart.
type Jitter time.Duration

func (j Jitter) applyTimer(f *timerFunction) { f.jitter = time.Duration(j) }

// RunAtStart adds a run at each start of the app.
func RunAtStart() TimerOption { return runAtStart{} }

type runAtStart struct{}

func (runAtStart) applyTimer(f *timerFunction) { f.atStart = true }

// timerFunction is a function that a timer triggers.
type timerFunction struct {
	eventFunction
	name, schedule, zone string
	catchUp              CatchUp
	overlap              Overlap
	jitter               time.Duration
	atStart              bool
}

// timerMetadata are the names that expressions may use.
var timerMetadata = []string{"timer.name", "timer.scheduled", "timer.last"}

func (f *timerFunction) resources() []resource.Resource { return nil }

func (f *timerFunction) register(r *running, env binding.Env) error {
	plan, err := f.compile(env, nil, timerMetadata)
	if err != nil {
		return err
	}
	timer, err := f.timer()
	if err != nil {
		return fmt.Errorf("function %s: %w", f.eventFunction.name, err)
	}
	policy := f.policy
	policy.SkipDeadLetters = true
	err = r.dispatcher.Register(delivery.Function{
		Name: timer.Name, Policy: policy,
		Handle: func(ctx context.Context, d *delivery.Delivery) error {
			var tick Tick
			if err := json.Unmarshal(d.Event, &tick); err != nil {
				return Permanent(err)
			}
			return plan.handle(ctx, d, nil, map[string]string{
				"timer.name": tick.Name, "timer.scheduled": timeText(tick.Scheduled), "timer.last": timeText(tick.Last),
			})
		},
	})
	if err != nil {
		return err
	}
	lane := ""
	if f.overlap == OverlapQueue {
		lane = timer.Name
	}
	r.ticker().Add(timer, func(u *unit.Unit, tick Tick) error {
		tick.Name = f.name
		event, err := json.Marshal(tick)
		if err != nil {
			return err
		}
		return r.dispatcher.Deliver(u, &delivery.Delivery{Function: timer.Name, Topic: timer.Name, Lane: lane, Event: event})
	})
	return nil
}

// timer checks what was declared.
func (f *timerFunction) timer() (ticker.Timer, error) {
	t := ticker.Timer{
		Name: f.eventFunction.name, CatchUp: ticker.CatchUp(f.catchUp), Skip: f.overlap == OverlapSkip,
		Jitter: f.jitter, RunAtStart: f.atStart,
	}
	zone, err := time.LoadLocation(f.zone)
	if err != nil || f.zone == "" || f.zone == "Local" {
		return t, fmt.Errorf("zone %q is not known: write a name such as Europe/Berlin", f.zone)
	}
	if t.Schedule, err = ticker.Parse(f.schedule, zone); err != nil {
		return t, fmt.Errorf("schedule %q: %w", f.schedule, err)
	}
	switch {
	case f.name == "":
		return t, fmt.Errorf("the timer has no name: give it one that stays, such as \"cleanup\"")
	case f.catchUp < CatchUpLast || f.catchUp > CatchUpNone:
		return t, fmt.Errorf("CatchUp %d: want CatchUpLast, CatchUpAll or CatchUpNone", f.catchUp)
	case f.overlap < OverlapQueue || f.overlap > OverlapParallel:
		return t, fmt.Errorf("Overlap %d: want OverlapQueue, OverlapSkip or OverlapParallel", f.overlap)
	case f.jitter < 0 || f.jitter > maxJitter:
		return t, fmt.Errorf("Jitter %v: want 0 to %v", f.jitter, maxJitter)
	case f.policy.Concurrency > 1 && f.overlap != OverlapParallel:
		return t, fmt.Errorf("Concurrency %d does nothing, because ticks run one after another: leave it out, or add OverlapParallel", f.policy.Concurrency)
	}
	return t, nil
}

// maxJitter bounds Jitter.
const maxJitter = 24 * time.Hour

// timeText writes a time for expressions; nothing for the zero time.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// ticker returns what publishes the ticks of all timers.
func (r *running) ticker() *ticker.Ticker {
	for _, s := range r.services {
		if k, ok := s.(*ticker.Ticker); ok {
			return k
		}
	}
	k := ticker.New(ticker.Config{Env: r.env, Committer: r.committer, Clock: r.clock, Log: r.config.Logger})
	r.services = append(r.services, k)
	return k
}
