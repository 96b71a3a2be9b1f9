package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// traffic is what is sent, and what must be answered.
type traffic struct {
	requests [][]byte
	status   []byte // how the answer begins
	body     string // "" is not compared
}

func newTraffic(w *workload, i *issuer) *traffic {
	return &traffic{requests: w.requests(i), status: []byte("HTTP/1.1 " + strconv.Itoa(w.status) + " "), body: w.body}
}

// load sends requests on conns connections, on each one after another, and checks each answer. It returns how long each
// took.
func load(ctx context.Context, address string, t *traffic, conns int, d time.Duration) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var mu sync.Mutex
	var all []time.Duration
	var errs error
	var group sync.WaitGroup
	for i := range conns {
		group.Go(func() {
			samples, err := sender(ctx, address, t, i*len(t.requests)/conns)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, samples...)
			if err != nil && errs == nil {
				errs = err
			}
		})
	}
	group.Wait()
	return all, errs
}

// sender sends on one connection until ctx ends, and begins with the request first.
func sender(ctx context.Context, address string, t *traffic, first int) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	buf := make([]byte, len(t.body)+16<<10)
	samples := make([]time.Duration, 0, 1<<12)
	for i := first; ctx.Err() == nil; i++ {
		began := time.Now()
		if _, err := conn.Write(t.requests[i%len(t.requests)]); err != nil {
			return samples, err
		}
		if err := t.receive(conn, buf); err != nil {
			return samples, err
		}
		samples = append(samples, time.Since(began))
	}
	return samples, nil
}

// receive reads one answer.
func (t *traffic) receive(conn net.Conn, buf []byte) error {
	for n := 0; ; {
		k, err := conn.Read(buf[n:])
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		n += k
		done, err := t.complete(buf[:n])
		if done || err != nil {
			return err
		}
		if n == len(buf) {
			return errors.New("answer is too large")
		}
	}
}

// complete reports whether a whole answer has come, and whether it is the right one.
func (t *traffic) complete(got []byte) (bool, error) {
	head := bytes.Index(got[:min(len(got), 8<<10)], []byte("\r\n\r\n"))
	if head < 0 {
		return false, nil
	}
	if !bytes.HasPrefix(got, t.status) {
		return false, fmt.Errorf("answered %q", got[:min(len(got), 300)])
	}
	rest := got[head+4:]
	if t.body == "" {
		length, err := contentLength(got[:head+2])
		return len(rest) == length, err
	}
	if len(rest) < len(t.body) {
		return false, nil
	}
	if string(rest) != t.body {
		return false, fmt.Errorf("answered the body %q", rest[:min(len(rest), 200)])
	}
	return true, nil
}

// contentLength returns what the field of that name says in the head of an answer.
func contentLength(head []byte) (int, error) {
	const name = "content-length:"
	for line := range bytes.Lines(head) {
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			return strconv.Atoi(string(bytes.TrimSpace(line[len(name):])))
		}
	}
	return 0, fmt.Errorf("the answer has no Content-Length: %q", head)
}
