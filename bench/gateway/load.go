package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// workload is a request that is sent again and again, and what must be answered.
type workload struct {
	request string
	status  int
	body    string
}

// answer is what the upstream answers.
const answer = `{"hello":"world","numbers":[1,2,3,4,5,6,7,8,9,10]}`

var workloads = map[string]workload{
	"gateway-plain": {
		request: "GET /api/things?id=7 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n",
		status:  200, body: answer,
	},
	"gateway-post": {
		request: "POST /api/things HTTP/1.1\r\nHost: example.com\r\nUser-Agent: bench\r\nAccept: */*\r\nContent-Type: application/json\r\n" +
			"Content-Length: 50\r\n\r\n" + answer,
		status: 200, body: answer,
	},
	"gateway-large": {
		request: "GET /large HTTP/1.1\r\nHost: example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n",
		status:  200, body: large,
	},
}

// large is a body of 1 MiB.
var large = strings.Repeat("0123456789abcdef", 1<<16)

// load sends requests on conns connections, on each one after another, and checks each answer. It returns how long each
// took.
func load(ctx context.Context, address string, w workload, conns int, d time.Duration) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var mu sync.Mutex
	var all []time.Duration
	var errs error
	var group sync.WaitGroup
	for range conns {
		group.Go(func() {
			samples, err := sender(ctx, address, w)
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

// sender sends on one connection until ctx ends.
func sender(ctx context.Context, address string, w workload) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	request := []byte(w.request)
	status := []byte("HTTP/1.1 " + strconv.Itoa(w.status) + " ")
	buf := make([]byte, len(w.body)+16<<10)
	samples := make([]time.Duration, 0, 1<<12)
	for ctx.Err() == nil {
		began := time.Now()
		if _, err := conn.Write(request); err != nil {
			return samples, err
		}
		n := 0
		for {
			k, err := conn.Read(buf[n:])
			if err != nil {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return samples, err
			}
			n += k
			done, err := complete(buf[:n], status, w.body)
			if err != nil {
				return samples, err
			}
			if done {
				break
			}
			if n == len(buf) {
				return samples, errors.New("answer is too large")
			}
		}
		samples = append(samples, time.Since(began))
	}
	return samples, nil
}

// complete reports whether a whole answer has come, and whether it is the right one.
func complete(got, status []byte, body string) (bool, error) {
	head := bytes.Index(got[:min(len(got), 8<<10)], []byte("\r\n\r\n"))
	if head < 0 {
		return false, nil
	}
	if !bytes.HasPrefix(got, status) {
		return false, fmt.Errorf("answered %q", got[:min(len(got), 200)])
	}
	rest := got[head+4:]
	if len(rest) < len(body) {
		return false, nil
	}
	if string(rest) != body {
		return false, fmt.Errorf("answered the body %q", rest[:min(len(rest), 200)])
	}
	return true, nil
}
