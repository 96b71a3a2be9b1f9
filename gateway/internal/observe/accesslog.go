package observe

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/internal/clock"
)

// AccessLogOptions say where the lines go.
type AccessLogOptions struct {
	// To is "stdout", "stderr" or the path of a file, which is made with the mode 0600 and opened anew when it was moved away. It
	// may be empty if there is a Writer.
	To string
	// Writer gets the lines instead, whole ones in each call.
	Writer io.Writer
	// Clock is the time.
	Clock clock.Clock
	// Log is told when lines cannot be written; nil is nobody.
	Log *slog.Logger
}

// AccessLog writes a line for each exchange: an object in JSON with the fields that appendLine lists. Lines are gathered and
// written by a goroutine, ten times a second or when there are many; if writing is slower than requests come, lines are left out,
// and their number is written. It is safe for concurrent use.
type AccessLog struct {
	o    AccessLogOptions
	stop chan struct{}
	full chan struct{}
	done chan struct{}
	once sync.Once

	started atomic.Bool

	mu      sync.Mutex
	lines   []byte
	dropped int

	// The goroutine's own.
	out     io.Writer
	file    *os.File // nil unless To is a path
	spare   []byte
	looked  time.Time
	failing bool
}

const (
	// flushEvery is how long a line waits, and flushAt how many bytes do.
	flushEvery = 100 * time.Millisecond
	flushAt    = 64 << 10
	// maxLines bounds the lines that wait, in bytes.
	maxLines = 4 << 20
	// lookEvery is how often the file is looked after.
	lookEvery = time.Second
)

// NewAccessLog opens the log. It is nil if there is nowhere to write to. Nothing is written before Start.
func NewAccessLog(o AccessLogOptions) (*AccessLog, error) {
	if o.To == "" && o.Writer == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &AccessLog{o: o, out: o.Writer, stop: make(chan struct{}), full: make(chan struct{}, 1), done: make(chan struct{})}
	switch {
	case o.Writer != nil:
	case o.To == "stdout":
		l.out = os.Stdout
	case o.To == "stderr":
		l.out = os.Stderr
	default:
		if err := l.open(); err != nil {
			return nil, fmt.Errorf("access log: %w", err)
		}
	}
	return l, nil
}

// open opens the file.
func (l *AccessLog) open() error {
	f, err := os.OpenFile(l.o.To, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if l.file != nil {
		_ = l.file.Close() // what was written is
	}
	l.file, l.out = f, f
	return nil
}

// Start begins to write. It is called once.
func (l *AccessLog) Start() {
	l.started.Store(true)
	go l.run()
}

// Stop writes what waits, and ends, unless ctx is done before. Call it when no more is logged, also of a log that was not started.
func (l *AccessLog) Stop(ctx context.Context) error {
	l.once.Do(func() {
		close(l.stop)
		if !l.started.Load() {
			l.run()
		}
	})
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("access log: lines still wait: %w", ctx.Err())
	}
}

func (l *AccessLog) run() {
	defer close(l.done)
	timer := l.o.Clock.NewTimer(flushEvery)
	defer timer.Stop()
	for {
		select {
		case <-l.stop:
			l.look()
			l.flush()
			if l.file != nil {
				_ = l.file.Close() // what was written is
			}
			return
		case <-l.full:
		case <-timer.C():
			timer.Reset(flushEvery)
		}
		l.look()
		l.flush()
	}
}

// flush writes the lines that wait.
func (l *AccessLog) flush() {
	l.mu.Lock()
	lines, dropped := l.lines, l.dropped
	l.lines, l.dropped = l.spare[:0], 0
	l.mu.Unlock()
	if dropped > 0 {
		lines = fmt.Appendf(lines, `{"time":%q,"error":"%d lines were left out: the log is written too slowly"}`+"\n",
			l.o.Clock.Now().UTC().Format(time.RFC3339Nano), dropped)
	}
	if len(lines) > 0 {
		_, err := l.out.Write(lines)
		l.fail(err)
	}
	if l.spare = lines; cap(lines) > 4*flushAt {
		l.spare = nil // a burst is over
	}
}

// fail tells of an error, once.
func (l *AccessLog) fail(err error) {
	if err != nil && !l.failing {
		l.o.Log.Error("gateway: the access log cannot be written", "to", l.o.To, "err", err)
	}
	l.failing = err != nil
}

// look opens the file anew if it is no longer where it was.
func (l *AccessLog) look() {
	now := l.o.Clock.Now()
	if l.file == nil || now.Sub(l.looked) < lookEvery {
		return
	}
	l.looked = now
	there, err := os.Stat(l.o.To)
	if err == nil {
		if own, err := l.file.Stat(); err == nil && os.SameFile(there, own) {
			return
		}
	}
	l.fail(l.open())
}

var lineBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}

// Log implements proxy.Log.
func (l *AccessLog) Log(x *proxy.Exchange) {
	b := lineBuffers.Get().(*[]byte)
	*b = appendLine((*b)[:0], x)
	l.add(*b)
	lineBuffers.Put(b)
}

// Refused is told of requests that broke the rules of HTTP: proxy.Options.Refused.
func (l *AccessLog) Refused(peer net.Addr, err *h1.ProtocolError) {
	b := lineBuffers.Get().(*[]byte)
	*b = appendRefused((*b)[:0], l.o.Clock.Now(), peer, err)
	l.add(*b)
	lineBuffers.Put(b)
}

func (l *AccessLog) add(line []byte) {
	l.mu.Lock()
	if len(l.lines)+len(line) > maxLines {
		l.dropped++
		l.mu.Unlock()
		return
	}
	before := len(l.lines)
	l.lines = append(l.lines, line...)
	many := before < flushAt && len(l.lines) >= flushAt
	l.mu.Unlock()
	if many {
		select {
		case l.full <- struct{}{}:
		default:
		}
	}
}
