package main

import (
	"context"
	"net"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pace sends rate requests a second on conns connections in turn, whether earlier ones have been answered or not: a request
// whose connection is still waiting is sent when the answer is there. It returns how long each took since it was due.
func pace(ctx context.Context, address string, t *traffic, conns, rate int, d time.Duration) ([]time.Duration, error) {
	senders := make([]*paced, conns)
	for i := range senders {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(d + 30*time.Second)); err != nil {
			return nil, err
		}
		senders[i] = &paced{conn: conn, traffic: t, next: i * len(t.requests) / conns}
	}
	var group sync.WaitGroup
	n := int(d.Seconds() * float64(rate))
	for i, s := range senders {
		group.Go(func() { s.receive((n - i + conns - 1) / conns) })
	}
	// Timers of the runtime are late by up to a millisecond; a thread that sleeps is not.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := time.Now()
	for i := range n {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if wait := time.Until(due); wait > 0 {
			rest := unix.NsecToTimespec(int64(wait))
			_ = unix.Nanosleep(&rest, nil) // a signal: the request is early by less than the interval
		}
		senders[i%conns].send(due)
	}
	group.Wait()
	var all []time.Duration
	for _, s := range senders {
		if s.err != nil {
			return nil, s.err
		}
		all = append(all, s.samples...)
	}
	return all, ctx.Err()
}

// paced is a connection.
type paced struct {
	conn    net.Conn
	traffic *traffic

	mu      sync.Mutex
	due     []time.Time // of the requests that are not answered; the first is sent
	next    int         // which request is the next
	samples []time.Duration
	err     error
}

// send sends a request, now or when the one before it has been answered.
func (s *paced) send(due time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.due = append(s.due, due); len(s.due) == 1 {
		s.write()
	}
}

func (s *paced) write() {
	if _, err := s.conn.Write(s.traffic.requests[s.next%len(s.traffic.requests)]); err != nil && s.err == nil {
		s.err = err
	}
	s.next++
}

// receive takes n answers.
func (s *paced) receive(n int) {
	buf := make([]byte, len(s.traffic.body)+16<<10)
	for range n {
		err := s.traffic.receive(s.conn, buf)
		now := time.Now()
		s.mu.Lock()
		if err != nil {
			s.err = err
			s.mu.Unlock()
			return
		}
		s.samples = append(s.samples, now.Sub(s.due[0]))
		if s.due = s.due[1:]; len(s.due) > 0 {
			s.write()
		}
		s.mu.Unlock()
	}
}
