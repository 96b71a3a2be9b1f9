package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Sink keeps checkpoints where who can change the store cannot reach them.
type Sink interface {
	// Name says where it is, for messages. It has no secret.
	Name() string
	// Send delivers a checkpoint, durably. One may come twice.
	Send(ctx context.Context, c *Checkpoint) error
}

// File is a Sink that appends a line of JSON to a file, made with mode 0600. The file belongs outside of the data folder,
// best where the app may only append.
type File struct{ Path string }

// Name implements Sink.
func (f File) Name() string { return "file " + f.Path }

// Send implements Sink.
func (f File) Send(_ context.Context, c *Checkpoint) (err error) {
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = os.Lstat(f.Path)
	isNew := errors.Is(err, os.ErrNotExist)
	file, err := os.OpenFile(f.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	// A line that a crash cut off must not spoil this one.
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	last := []byte{'\n'}
	if end > 0 {
		if _, err := file.ReadAt(last, end-1); err != nil {
			return err
		}
	}
	if last[0] != '\n' {
		line = append([]byte{'\n'}, line...)
	}
	if _, err := file.Write(append(line, '\n')); err != nil {
		return err
	}
	if err := file.Sync(); err != nil || !isNew {
		return err
	}
	dir, err := os.Open(filepath.Dir(f.Path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Webhook is a Sink that posts the JSON of a checkpoint to a URL, and takes any status of 2xx for its receipt.
type Webhook struct {
	URL string
	// Client decides which addresses may be reached; http.DefaultClient if nil. Redirects are not followed.
	Client *http.Client
}

// Name implements Sink. It shows the host alone: the rest of the URL may be a secret.
func (w Webhook) Name() string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return "webhook"
	}
	return "webhook " + u.Host
}

// Send implements Sink.
func (w Webhook) Send(ctx context.Context, c *Checkpoint) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL is no good")
	}
	r.Header.Set("Content-Type", "application/json")
	client := http.Client{}
	if w.Client != nil {
		client = *w.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(r)
	if err != nil {
		var shown *url.Error
		if errors.As(err, &shown) {
			err = shown.Err // without the URL
		}
		return err
	}
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10) // so that the connection can be kept
	_ = answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("answered %d", answer.StatusCode)
	}
	return nil
}

// Logger is a Sink that writes checkpoints to a log, which somebody else keeps.
type Logger struct{ Log *slog.Logger }

// Name implements Sink.
func (Logger) Name() string { return "log" }

// Send implements Sink.
func (l Logger) Send(ctx context.Context, c *Checkpoint) error {
	text, err := json.Marshal(c)
	if err == nil {
		l.Log.InfoContext(ctx, "vault audit checkpoint", "checkpoint", string(text))
	}
	return err
}

// SinkStatus says how a sink does.
type SinkStatus struct {
	Name     string    `json:"name"`
	Position uint64    `json:"position"`       // of the last checkpoint that it has
	At       time.Time `json:"at,omitzero"`    // when it got that
	Failures int       `json:"failures"`       // since then
	Error    string    `json:"error,omitzero"` // of the last attempt
}

// The times of sending.
const (
	sendTimeout  = 10 * time.Second
	firstBackoff = time.Second
	lastBackoff  = time.Minute
)

// sender brings checkpoints to a sink. It keeps the last one only: a checkpoint says all that those before it say.
type sender struct {
	sink    Sink
	options *Options
	wake    chan struct{}

	sending sync.Mutex // one attempt at a time

	mu      sync.Mutex
	pending *Checkpoint
	status  SinkStatus
}

func newSender(s Sink, o *Options) *sender {
	return &sender{sink: s, options: o, wake: make(chan struct{}, 1), status: SinkStatus{Name: s.Name()}}
}

// offer gives it a checkpoint to send.
func (s *sender) offer(c *Checkpoint) {
	s.mu.Lock()
	s.pending = c
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run sends until ctx ends.
func (s *sender) run(ctx context.Context) {
	backoff := firstBackoff
	for {
		if err := s.attempt(ctx); err != nil {
			if !wait(ctx, s.options.Clock, backoff) {
				return
			}
			backoff = min(2*backoff, lastBackoff) // whatever is offered meanwhile
			continue
		}
		backoff = firstBackoff
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
	}
}

// attempt sends what is pending, once.
func (s *sender) attempt(ctx context.Context) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.mu.Lock()
	c := s.pending
	s.mu.Unlock()
	if c == nil || ctx.Err() != nil {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	err := s.sink.Send(limited, c)
	if err != nil && ctx.Err() != nil {
		return nil // it was stopped: no fault of the sink
	}
	s.mu.Lock()
	failures := s.status.Failures
	if err == nil {
		s.status = SinkStatus{Name: s.status.Name, Position: c.Position, At: s.options.Clock.Now().UTC()}
		if s.pending == c {
			s.pending = nil
		}
	} else {
		failures++
		s.status.Failures, s.status.Error = failures, err.Error()
	}
	s.mu.Unlock()
	switch {
	case err != nil && failures%10 == 1: // at once, then every ten minutes
		s.options.Log.Error("a sink of the vault's audit log fails", "sink", s.sink.Name(), "failures", failures, "error", err)
	case err == nil && failures > 0:
		s.options.Log.Info("a sink of the vault's audit log is back", "sink", s.sink.Name(), "failures", failures)
	}
	if err != nil {
		return fmt.Errorf("audit: sink %s: %w", s.sink.Name(), err)
	}
	return nil
}
