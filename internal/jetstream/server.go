package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	js "github.com/nats-io/nats.go/jetstream"
)

// ensureStream returns the stream on the server. It is made if it is missing; one that is
// there is not changed.
func (s *session) ensureStream(ctx context.Context) (js.Stream, error) {
	stream, err := s.js.Stream(ctx, s.Address.Stream)
	if errors.Is(err, js.ErrStreamNotFound) {
		config := s.newStream()
		s.Log.Info("a JetStream stream is made", "resource", s.target, "stream", config.Name, "subject", s.Address.Subject)
		stream, err = s.js.CreateStream(ctx, config)
		if errors.Is(err, js.ErrStreamNameAlreadyInUse) { // another was faster
			stream, err = s.js.Stream(ctx, s.Address.Stream)
		}
	}
	if err != nil {
		return nil, err
	}
	config := stream.CachedInfo().Config
	if err := s.checkStream(ctx, config); err != nil {
		return nil, err
	}
	for _, d := range s.differences(config) {
		s.Log.Warn("a JetStream stream differs from what was asked for; it is not changed", "resource", s.target,
			"stream", config.Name, "setting", d.name, "is", d.is, "wanted", d.wanted, "mend", d.mend)
	}
	return stream, nil
}

// newStream is the configuration of a stream that is made.
func (s *session) newStream() js.StreamConfig {
	a := s.Address
	c := js.StreamConfig{
		Name: a.Stream, Subjects: []string{a.Subject}, Storage: js.FileStorage, Replicas: max(a.wanted.replicas, 1),
		MaxAge: s.maxAge(), MaxBytes: a.wanted.maxBytes, Duplicates: a.wanted.duplicates, AllowDirect: true,
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = -1
	}
	if s.Queue != "" {
		c.Retention, c.Discard = js.WorkQueuePolicy, js.DiscardNew // what is full makes senders wait
	}
	return c
}

// maxAge is how long messages are kept; 0 for as long as there is room.
func (s *session) maxAge() time.Duration {
	if s.Address.wanted.maxAge > 0 {
		return s.Address.wanted.maxAge
	}
	return s.Age
}

// checkStream refuses a stream in which messages would be lost or never arrive.
func (s *session) checkStream(ctx context.Context, c js.StreamConfig) error {
	subject := s.Address.Subject
	owner, err := s.js.StreamNameBySubject(ctx, subject)
	switch {
	case errors.Is(err, js.ErrStreamNotFound) || err == nil && owner != c.Name:
		return fmt.Errorf("%w: it does not take the subject %q, but %q: name one of them in the URL, or add the subject by \"nats stream edit %s --subjects\"", ErrUnfit, subject, c.Subjects, c.Name)
	case err != nil:
		return err
	case c.Sealed:
		return fmt.Errorf("%w: it is sealed: name another one", ErrUnfit)
	case c.NoAck:
		return fmt.Errorf("%w: it does not acknowledge messages (no_ack): set that to false, or name another one", ErrUnfit)
	case c.SubjectTransform != nil:
		return fmt.Errorf("%w: it changes subjects (subject_transform): name another one", ErrUnfit)
	case s.Queue != "" && c.Retention != js.WorkQueuePolicy:
		return fmt.Errorf("%w: a queue needs the retention \"work queue\", and it has %q: name another one; the app makes it if it is missing", ErrUnfit, c.Retention)
	case s.Queue == "" && c.Retention != js.LimitsPolicy:
		return fmt.Errorf("%w: a stream needs the retention \"limits\", and it has %q, which removes what others have read: name another one; the app makes it if it is missing", ErrUnfit, c.Retention)
	}
	return nil
}

// difference is a setting that is not as asked for.
type difference struct {
	name       string
	is, wanted any
	mend       string
}

// differences compares what was asked for.
func (s *session) differences(c js.StreamConfig) (found []difference) {
	add := func(differs bool, name string, is, wanted any, flag string) {
		if differs {
			mend := fmt.Sprintf("nats stream edit %s --%s, or change the URL", c.Name, flag)
			found = append(found, difference{name, is, wanted, mend})
		}
	}
	w, age := s.Address.wanted, s.maxAge()
	if c.Storage != js.FileStorage {
		found = append(found, difference{"storage", c.Storage, js.FileStorage, "name another stream: this one loses its messages when the server ends"})
	}
	add(w.replicas > 0 && c.Replicas != w.replicas, "replicas", c.Replicas, w.replicas, "replicas")
	add(age > 0 && c.MaxAge != age, "max_age", c.MaxAge, age, "max-age")
	add(w.maxBytes > 0 && c.MaxBytes != w.maxBytes, "max_bytes", c.MaxBytes, w.maxBytes, "max-bytes")
	add(w.duplicates > 0 && c.Duplicates != w.duplicates, "duplicates", c.Duplicates, w.duplicates, "dupe-window")
	return found
}
