package engine

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/replay"
)

// task is an activity or step that an instance has under way in this process. It
// outlives the attempts, and the instance's coroutine.
type task struct {
	in       *instance
	seq      uint32
	name     string
	step     bool
	base     uint32 // the generation that made the call
	instance string
	trace    map[string]string // of the instance
	input    []byte
	opts     *history.CallOptions
	run      func(ctx context.Context, input []byte) ([]byte, error)
	since    time.Time // when it was scheduled

	stored    bool // it has a record: the owner of the instance only
	conflicts int  // attempts refused in a row because of what others wrote

	mu       sync.Mutex
	kept     records.Task // what is known of its attempts
	attempt  *attempt     // the latest
	canceled error        // why it is to end
	token    string
	beat     clock.Timer
	saved    time.Time // when progress was last stored
}

// newActivity makes the task of an activity call.
func (e *Engine) newActivity(in *instance, d *history.Event, since time.Time) (*task, error) {
	opts, err := history.DecodeCallOptions(d.Options)
	if err != nil {
		return nil, &stallError{fmt.Sprintf("options of activity %q: %v", d.Name, err)}
	}
	t := e.newTask(in, d.Seq, d.Name, since)
	t.input = d.Data
	switch a := e.activities[d.Name]; {
	case a == nil:
		t.opts = &history.CallOptions{}
	case len(d.Options) == 0:
		t.run, t.opts = a.Run, &a.Defaults
	default:
		merged := merge(opts, a.Defaults)
		t.run, t.opts = a.Run, &merged
	}
	return t, nil
}

// newStep makes the task of an inline step.
func (e *Engine) newStep(in *instance, s *replay.Step, since time.Time) *task {
	opts, err := history.DecodeCallOptions(s.Options)
	if err != nil {
		opts = history.CallOptions{} // they were encoded in this process
	}
	t := e.newTask(in, s.Seq, s.Name, since)
	t.step, t.opts = true, &opts
	t.run = func(ctx context.Context, _ []byte) ([]byte, error) { return s.Run(ctx) }
	return t
}

func (e *Engine) newTask(in *instance, seq uint32, name string, since time.Time) *task {
	return &task{
		in: in, seq: seq, name: name, since: since,
		base: in.rec.Base, instance: in.rec.ID, trace: in.rec.Trace,
	}
}

// merge fills what a call leaves open from the activity's defaults.
func merge(o, defaults history.CallOptions) history.CallOptions {
	if o.Attempts == 0 {
		o.Attempts, o.Initial, o.Max, o.Multiplier = defaults.Attempts, defaults.Initial, defaults.Max, defaults.Multiplier
	}
	if o.StartToClose == 0 {
		o.StartToClose = defaults.StartToClose
	}
	if o.ScheduleToStart == 0 {
		o.ScheduleToStart = defaults.ScheduleToStart
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = defaults.Heartbeat
	}
	return o
}

// resume takes over what an earlier process stored.
func (t *task) resume(kept *records.Task) {
	t.kept, t.stored = *kept, true
	t.token = kept.Token
}

// begin makes an attempt; an error says that it must not run.
func (t *task) begin(e *Engine) (*attempt, error) {
	a := &attempt{e: e, t: t}
	a.unit.Init(e.opts.Env)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.canceled != nil {
		return nil, t.canceled
	}
	t.attempt = a
	t.kept.NextAt = time.Time{}
	return a, nil
}

// setBeat says what a heartbeat of the running attempt puts off.
func (t *task) setBeat(timer clock.Timer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.beat = timer
}

// canceledBy returns why it is to end, or nil.
func (t *task) canceledBy() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.canceled
}

// cancelRun ends the running attempt, and keeps later ones from starting.
func (t *task) cancelRun(cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.canceled = cause
	if t.attempt != nil {
		t.attempt.cancel(cause)
	}
}

// release is called when the instance wants nothing more of the task.
func (t *task) release() { t.cancelRun(ErrCanceled) }

// Task is what a running activity or step may ask of the engine.
type Task struct {
	e *Engine
	t *task
}

// TaskOf returns the task that ctx belongs to; false outside an activity.
func TaskOf(ctx context.Context) (Task, bool) {
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok {
		return Task{}, false
	}
	return Task{a.e, a.t}, true
}

// Name returns the activity's or step's name.
func (t Task) Name() string { return t.t.name }

// InstanceID returns the id of the instance that called it.
func (t Task) InstanceID() string { return t.t.instance }

// IdempotencyKey is the same in each attempt of the call and differs between
// calls, for use towards systems outside.
func (t Task) IdempotencyKey() string {
	return fmt.Sprintf("%d-%d-%d", t.t.in.key, t.t.base, t.t.seq)
}

// Attempt returns the number of this attempt, from 1.
func (t Task) Attempt() int {
	t.t.mu.Lock()
	defer t.t.mu.Unlock()
	return int(t.t.kept.Attempts+t.t.kept.Deaths) + 1
}

// Progress returns the detail of the last heartbeat that was stored by this or an
// earlier attempt, or nil.
func (t Task) Progress() json.RawMessage {
	t.t.mu.Lock()
	defer t.t.mu.Unlock()
	return t.t.kept.Progress
}

// Token returns what completes the call from outside.
func (t Task) Token() string {
	t.t.mu.Lock()
	defer t.t.mu.Unlock()
	if t.t.token == "" {
		t.t.token = rand.Text()
	}
	return fmt.Sprintf("%x.%x.%s", uint64(t.t.in.key), t.t.seq, t.t.token)
}

// saveEvery is how often progress is stored at the most.
const saveEvery = time.Second

// Heartbeat says that the attempt is alive, and keeps progress for the next one.
func (t Task) Heartbeat(progress json.RawMessage) {
	tt := t.t
	tt.mu.Lock()
	defer tt.mu.Unlock()
	if tt.beat != nil {
		tt.beat.Reset(tt.opts.Heartbeat)
	}
	if progress == nil {
		return
	}
	tt.kept.Progress = progress
	if now := t.e.now(); now.Sub(tt.saved) >= saveEvery && tt.canceled == nil {
		tt.saved = now
		kept := tt.kept
		t.e.pool.run(func() {
			t.e.deliver(tt.in.key, &inbound{control: func(in *instance, c *change) error {
				if in.tasks[tt.seq] != tt {
					return nil
				}
				tt.stored = true
				records.PutTask(&c.txn, in.key, tt.seq, &kept)
				return nil
			}}, true)
		})
	}
}
