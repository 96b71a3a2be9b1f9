package perdure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.opentelemetry.io/otel/attribute"

	"github.com/perdure/perdure/internal/jetstream"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/telemetry"
	"github.com/perdure/perdure/stream"
)

// natsLink is what ties a stream or a queue to NATS JetStream, as the configuration says.
type natsLink struct {
	*jetstream.Link
	field string
}

// Start implements service.
func (l *natsLink) Start(ctx context.Context) error {
	err := l.Link.Start(ctx)
	if errors.Is(err, jetstream.ErrUnfit) {
		return fmt.Errorf("%w: %s: %w", ErrConfig, l.field, err)
	}
	return err
}

// linkNATS makes the links of the streams and queues that live on NATS JetStream.
func (r *running) linkNATS(p *parts) error {
	r.env.Outbox = map[string]bool{}
	var errs []error
	for _, kind := range []struct {
		field, kind string
		urls        map[string]string
	}{
		{"Streams", "stream", r.config.Streams},
		{"Queues", "queue", r.config.Queues},
	} {
		for _, name := range slices.Sorted(maps.Keys(kind.urls)) {
			field := fmt.Sprintf("%s[%q]", kind.field, name)
			if one := p.resources[name]; one == nil || one.ResourceKind() != kind.kind {
				errs = append(errs, fmt.Errorf("%s: the app has no %s of that name: add it to the app, or leave it out here", field, kind.kind))
				continue
			}
			address, err := jetstream.Parse(kind.urls[name], name)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", field, err))
				continue
			}
			if _, _, err := r.config.secretRef(address.Secret()); err != nil {
				errs = append(errs, fmt.Errorf("%s: the password: %w", field, err))
				continue
			}
			r.addLink(field, p.resources[name], jetstream.Config{Address: address, Secret: r.secret}, p)
		}
	}
	return errors.Join(append(errs, r.observeLinks())...)
}

// addLink adds the link of a resource.
func (r *running) addLink(field string, one resource.Resource, c jetstream.Config, p *parts) {
	c.Env, c.Committer, c.Watch, c.Clock, c.Log = r.env, r.committer, r.store.Watch, r.clock, r.config.Logger
	if s, ok := one.(interface{ Settings() stream.Settings }); ok {
		settings := s.Settings()
		c.Stream, c.Partitions, c.Age = one.ResourceName(), settings.Partitions, settings.Age
	} else {
		c.Queue = one.ResourceName()
		c.SendOnly = !slices.ContainsFunc(p.events, func(part eventPart) bool {
			f, ok := part.(*queueFunction)
			return ok && f.own == records.QueueTarget(c.Queue)
		})
	}
	link := &natsLink{jetstream.New(c), field}
	r.env.Outbox[link.Target()] = true
	r.natsLinks = append(r.natsLinks, link)
	r.services = append(r.services, link)
}

// observeLinks registers what is asked for of the links when metrics are read.
func (r *running) observeLinks() error {
	if len(r.natsLinks) == 0 {
		return nil
	}
	gauge := func(name, unit, text string, value func(jetstream.State) float64) telemetry.Gauge {
		return telemetry.Gauge{
			Name: name, Unit: unit, Description: text,
			Read: func(_ context.Context, set func(float64, ...attribute.KeyValue)) error {
				var errs []error
				for _, l := range r.natsLinks {
					state, err := l.State()
					if err != nil {
						errs = append(errs, err)
						continue
					}
					set(value(state), attribute.String("perdure.resource", l.Target()))
				}
				return errors.Join(errs...)
			},
		}
	}
	return r.observer.Observe(
		gauge("perdure.outbox.depth", "{event}", "Events that wait to be sent to NATS.",
			func(s jetstream.State) float64 { return float64(s.Depth) }),
		gauge("perdure.outbox.age", "s", "How long the oldest event has waited to be sent to NATS.",
			func(s jetstream.State) float64 {
				if s.Depth == 0 {
					return 0
				}
				return max(r.clock.Now().Sub(s.Oldest).Seconds(), 0)
			}),
		gauge("perdure.nats.connected", "{connection}", "Whether there is a connection to NATS.",
			func(s jetstream.State) float64 {
				if s.Connected {
					return 1
				}
				return 0
			}),
	)
}
