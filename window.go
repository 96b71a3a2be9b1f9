package perdure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/consumer"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/telemetry"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/internal/windows"
	"github.com/perdure/perdure/stream"
	"github.com/perdure/perdure/window"
)

// OnWindow aggregates the events of a stream by key and by windows of time, and calls fn
// with each result:
//
//	perdure.OnWindow(Names, window.Tumbling(5*time.Second),
//		func(n Name) string { return n.First }, window.Count,
//		func(ctx context.Context, r window.Result[string, int]) error { … })
//
// Each event counts once in each of its windows. Fn runs in the unit of work that closes
// the window, together with others, so what it writes, sends, starts and raises happens once
// for each revision of a result. The keys may be other ones than those of the stream: what
// its partitions know of a window is joined when it closes.
//
// When fn fails, its result is tried again by the Policy, as a delivery of the function
// "NAME/results"; later results of its key wait, and all others go on. When a batch of events
// fails, because of one of the functions that say what is computed, its partition waits, as
// with OnStreamBatch, and no window closes without its events. The metric perdure.window.late
// counts late events.
//
// The function is a consumer of the stream under its name, which is "window/" and the
// stream's unless FunctionName says otherwise: two functions on one stream need one each,
// and so does a function whose windows have become of another kind. BatchSize is 1,000 by
// default.
func OnWindow[T any, K comparable, A any](
	s *stream.Stream[T], w window.Windows, key func(event T) K, aggregate window.Aggregate[T, A],
	fn func(context.Context, window.Result[K, A]) error, opts ...StreamOption,
) Part {
	f := &windowFunction{streamFunction: streamFunction{
		eventFunction: eventFunction{name: "window/" + s.ResourceName()}, stream: s,
	}}
	size := BatchSize(1000)
	f.size = &size
	for _, o := range opts {
		o.applyStream(&f.streamFunction)
	}
	f.make = func(c windowConfig) (windowRunner, error) {
		return windows.New(windows.Config[T, K, A]{
			Name: f.name, Stream: s.ResourceName(), Partitions: s.Settings().Partitions,
			Windows: w, Key: key, Aggregate: aggregate, Handle: fn, Timeout: c.timeout, Waits: c.waits, Failures: c.failures,
			Env: c.running.env, Committer: c.running.committer, Clock: c.running.clock, Log: c.running.config.Logger,
		})
	}
	return f
}

// windowFunction is a function that aggregates a stream.
type windowFunction struct {
	streamFunction
	make func(windowConfig) (windowRunner, error)
}

// windowConfig is what windowFunction knows of a windows.Config.
type windowConfig struct {
	running  *running
	timeout  time.Duration
	waits    func(v records.View, partition int) (bool, error)
	failures windows.Failures
}

// windowRunner is a windows.Function of any types.
type windowRunner interface {
	service
	Batch(ctx context.Context, partition int, events []*records.Event) error
	Result(ctx context.Context, data []byte) error
	LateEvents() (int64, error)
}

// defaultTimeout is what Policy.Timeout is when it is 0.
const defaultTimeout = 5 * time.Minute

func (f *windowFunction) register(r *running, _ binding.Env) error {
	bounds, err := f.bounds()
	if err != nil {
		return fmt.Errorf("function %s: %w", f.name, err)
	}
	c := windowConfig{running: r, timeout: f.policy.Timeout, waits: f.waits, failures: &failedResults{r.dispatcher, f.name + "/results"}}
	if c.timeout == 0 {
		c.timeout = defaultTimeout
	}
	run, err := f.make(c)
	if err != nil {
		return fmt.Errorf("function %s: %w", f.name, err)
	}
	err = r.feeder.Register(consumer.Group{
		Function: f.name, Stream: f.stream.ResourceName(), Partitions: f.stream.Settings().Partitions,
		From: f.from, Policy: f.policy, Batch: bounds,
		HandleBatch: func(ctx context.Context, batch []*consumer.Event) error {
			return run.Batch(ctx, batch[0].Partition, batch)
		},
	})
	if errors.Is(err, delivery.ErrBadFunction) {
		return fmt.Errorf("%w; functions on one stream need a FunctionName each", err)
	} else if err != nil {
		return err
	}
	// Before the feeder: it refuses windows of another kind before there are batches, and
	// closes windows as long as there are any.
	r.services = slices.Insert(r.services, 0, service(&windowService{run, f.name}))
	if err := r.observeWindows(); err != nil {
		return err
	}
	return r.dispatcher.Register(delivery.Function{
		Name: f.name + "/results", Policy: f.policy,
		Handle: func(ctx context.Context, d *delivery.Delivery) error { return run.Result(ctx, d.Event) },
	})
}

// windowService is a windowRunner with its function's name.
type windowService struct {
	windowRunner
	name string
}

// observeWindows registers, with the first window function, what is asked of all when
// metrics are read.
func (r *running) observeWindows() error {
	all := func() (all []*windowService) {
		for _, s := range r.services {
			if w, ok := s.(*windowService); ok {
				all = append(all, w)
			}
		}
		return all
	}
	if len(all()) > 1 {
		return nil
	}
	err := r.observer.Observe(telemetry.Gauge{
		Name: "perdure.window.late", Unit: "{event}", Description: "Events that came too late for all of their windows.",
		Read: func(_ context.Context, set func(float64, ...attribute.KeyValue)) error {
			var errs []error
			for _, w := range all() {
				n, err := w.LateEvents()
				errs = append(errs, err)
				set(float64(n), attribute.String("perdure.function", w.name))
			}
			return errors.Join(errs...)
		},
	})
	if err != nil {
		return fmt.Errorf("%w: MeterProvider: %w", ErrConfig, err)
	}
	return nil
}

// waits reports whether a batch of a partition failed and was not handled yet.
func (f *windowFunction) waits(v records.View, partition int) (waits bool, err error) {
	lane := records.LaneHash(consumer.BatchLane(partition))
	err = records.ScanLane(v, f.name, lane, records.DeliveryID{}, func(records.LaneEntry) bool {
		waits = true
		return false
	})
	return waits, err
}

// failedResults are results as deliveries, in the lane of their key.
type failedResults struct {
	dispatcher *delivery.Dispatcher
	function   string
}

// Held implements windows.Failures.
func (r *failedResults) Held(u *unit.Unit, key string) (bool, error) {
	empty, err := records.LaneEmpty(u, r.function, resultLane(key))
	return !empty, err
}

// Put implements windows.Failures.
func (r *failedResults) Put(u *unit.Unit, key string, result []byte, cause error) error {
	return r.dispatcher.Spill(u, &delivery.Delivery{
		Function: r.function, Topic: r.function, Lane: resultLane(key), Event: result,
	}, cause)
}

// resultLane returns the lane of a key, which may be empty.
func resultLane(key string) string { return "key " + key }
