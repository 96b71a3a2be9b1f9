package certs

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/internal/clock"
)

// lookInterval is how often files are looked at, at most.
const lookInterval = time.Second

// FileCertificate returns a Fallback that reads a certificate with its chain, and its key, from files in PEM, and
// again when they have changed. What cannot be read is logged, and the last one that could stays. The error is that
// of reading them now. A nil clock is the system's, a nil log is nobody.
func FileCertificate(certFile, keyFile string, c clock.Clock, log *slog.Logger) (Fallback, error) {
	if c == nil {
		c = clock.System()
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &files{cert: certFile, key: keyFile, clock: c, log: log}
	state, err := f.stat()
	if err != nil {
		return nil, fmt.Errorf("certs: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("certs: certificate %q with key %q: %w", certFile, keyFile, err)
	}
	f.state, f.looked = state, c.Now()
	f.pair.Store(&pair)
	return f.get, nil
}

// files are a certificate and its key.
type files struct {
	cert, key string
	clock     clock.Clock
	log       *slog.Logger
	pair      atomic.Pointer[tls.Certificate] // the last one that could be read

	mu     sync.Mutex
	looked time.Time
	state  state // at the last reading
	failed error // of the last reading
}

// state tells contents apart.
type state struct {
	cert, key         time.Time
	certSize, keySize int64
}

func (f *files) stat() (state, error) {
	c, err := os.Stat(f.cert)
	if err != nil {
		return state{}, err
	}
	k, err := os.Stat(f.key)
	if err != nil {
		return state{}, err
	}
	return state{c.ModTime(), k.ModTime(), c.Size(), k.Size()}, nil
}

// get implements Fallback. One handshake looks at the files, others do not wait for it.
func (f *files) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if f.mu.TryLock() {
		defer f.mu.Unlock()
		if now := f.clock.Now(); now.Sub(f.looked) >= lookInterval || now.Before(f.looked) {
			f.looked = now
			f.look()
		}
	}
	return f.pair.Load(), nil
}

// look reads the files if they have changed, or could not be read.
func (f *files) look() {
	now, err := f.stat()
	if err == nil && now == f.state && f.failed == nil {
		return
	}
	if err == nil {
		f.state = now
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(f.cert, f.key); err == nil {
			f.pair.Store(&pair)
			f.log.Info("gateway: the certificate was read again", "file", f.cert, "until", pair.Leaf.NotAfter)
		}
	}
	if err != nil && (f.failed == nil || f.failed.Error() != err.Error()) {
		f.log.Error("gateway: the certificate cannot be read, and the last one stays", "file", f.cert, "key", f.key, "err", err)
	}
	f.failed = err
}
