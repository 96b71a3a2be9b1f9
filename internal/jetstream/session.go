package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
)

// The client's own time limits.
const (
	connectTimeout = 5 * time.Second
	requestTimeout = 5 * time.Second
	pingInterval   = 20 * time.Second
)

// Why a session ends.
var (
	errLost = errors.New("the connection was lost")
	errGone = errors.New("the JetStream stream is gone, or was made anew")
)

// session is one connection to the server.
type session struct {
	*Link
	conn   *nats.Conn
	js     js.JetStream
	stream js.Stream
	made   time.Time       // when the stream was made
	reader reader          // nil if nothing is read
	ended  context.Context // ends with the connection
	end    context.CancelCauseFunc
}

// reader reads what is on the server.
type reader interface {
	// read reads until ctx ends or something fails; it calls progress when it has
	// stored something.
	read(ctx context.Context, progress func()) error
	// caughtUp reports whether everything on the server has been read.
	caughtUp(ctx context.Context) (bool, error)
}

// connect opens a session and makes sure that the stream is there.
func (l *Link) connect(ctx context.Context) (_ *session, err error) {
	s := &session{Link: l}
	s.ended, s.end = context.WithCancelCause(context.Background())
	options := append([]nats.Option{
		nats.Name("perdure " + l.target), nats.NoReconnect(), nats.Timeout(connectTimeout),
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(2),
		nats.ClosedHandler(func(c *nats.Conn) {
			if err := c.LastError(); err != nil {
				s.end(err)
			}
			s.end(errLost)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			l.Log.Warn("NATS reports an error", "resource", l.target, "error", err)
		}),
	}, l.Address.login...)
	if l.Address.secret != "" {
		password, err := l.Secret(ctx, l.Address.secret)
		if err != nil {
			return nil, fmt.Errorf("the password: %w", err)
		}
		options = append(options, nats.UserInfo(l.Address.user, password))
	}
	if s.conn, err = nats.Connect(l.Address.server, options...); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.js, err = js.New(s.conn, js.WithDefaultTimeout(requestTimeout)); err != nil {
		return nil, err
	}
	if s.stream, err = s.ensureStream(ctx); err != nil {
		return nil, fmt.Errorf("stream %q: %w", l.Address.Stream, err)
	}
	s.made = s.stream.CachedInfo().Created
	switch {
	case l.Queue == "":
		s.reader, err = newMirror(ctx, s)
	case !l.SendOnly:
		s.reader, err = newTaker(ctx, s)
	}
	return s, err
}

// close ends the connection. It may be called more than once.
func (s *session) close() { s.conn.Close() }

// work sends and reads until the connection or ctx ends.
func (s *session) work(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(s.ended, cancel)
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { s.keep(ctx, "what is sent waits in the outbox", s.forward) })
	if s.reader != nil {
		both.Go(func() { s.keep(ctx, "what is on the server waits there", s.reader.read) })
	}
	both.Wait()
	return context.Cause(s.ended)
}

// keep runs f again and again, with a pause after each failure, until ctx ends.
func (s *session) keep(ctx context.Context, meanwhile string, f func(ctx context.Context, progress func()) error) {
	wait := backoff{link: s.Link}
	for {
		err := f(ctx, func() {
			wait.reset()
			s.noteChange()
		})
		if ctx.Err() != nil {
			return
		}
		s.Log.Warn("JetStream fails; "+meanwhile, "resource", s.target, "address", s.Address.String(), "error", err)
		if !wait.pause(ctx) {
			return
		}
		if info, err := s.js.Stream(ctx, s.Address.Stream); errors.Is(err, js.ErrStreamNotFound) || err == nil && !info.CachedInfo().Created.Equal(s.made) {
			s.end(errGone)
			return
		}
	}
}

// idle reports whether nothing is left to be sent or read.
func (s *session) idle(ctx context.Context) (bool, error) {
	state, err := s.State()
	if err != nil || state.Depth > 0 || s.reader == nil {
		return err == nil && state.Depth == 0, err
	}
	caughtUp, err := s.reader.caughtUp(ctx)
	if err != nil && s.ended.Err() != nil {
		return false, nil // the next session, or a pause, follows
	}
	return caughtUp, err
}
