package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// messagesWarmUp is how many messages are carried before the measurement.
const messagesWarmUp = 500

// measureMessages sends messages, some at once, each on its own and durably, while the engine handles and acknowledges
// them. A sample is from the call that sends to the call of the handler; the whole ends with the last durable
// acknowledgement.
func measureMessages(ctx context.Context, s *session) (row, error) {
	total := 0
	carry := func(n int) ([]time.Duration, time.Duration, error) {
		s.handled.expect(total, n)
		total += n
		begin := time.Now()
		_, _, err := each(ctx, n, s.task.Inflight, func(ctx context.Context, i int) error {
			return s.messages.send(ctx, s.handled.message(i, s.task.Payload))
		})
		if err == nil {
			err = s.messages.drained(ctx, total)
		}
		took := time.Since(begin)
		if err != nil {
			return nil, 0, err
		}
		samples, err := s.handled.samples()
		return samples, took, err
	}
	if _, _, err := carry(messagesWarmUp); err != nil {
		return row{}, fmt.Errorf("warm-up: %w", err)
	}
	samples, took, err := repeat(mostRounds, func(int) ([]time.Duration, time.Duration, error) { return carry(s.task.N) })
	if err != nil {
		return row{}, err
	}
	result := s.newRow(s.task.Inflight)
	result.setTotals(len(samples), 0, took)
	result.setPercentiles(samples)
	return result, nil
}

// handled learns which messages were handled, and when.
type handled struct {
	mu    sync.Mutex
	first int // the number of the first message that is expected
	sent  []time.Time
	took  []time.Duration
	extra []string // messages handled that were not expected, or once more
}

// expect begins to count n messages, numbered from first on.
func (h *handled) expect(first, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.first, h.sent, h.took, h.extra = first, make([]time.Time, n), make([]time.Duration, n), nil
}

// message returns the i-th expected message, with a payload of so many bytes, and notes that it is about to be sent.
func (h *handled) message(i, payload int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent[i] = time.Now()
	return strconv.Itoa(h.first+i) + " " + strings.Repeat("x", payload)
}

// mark notes that a message was handled.
func (h *handled) mark(message string) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	text, _, _ := strings.Cut(message, " ")
	i, err := strconv.Atoi(text)
	i -= h.first
	if err != nil || i < 0 || i >= len(h.took) || h.took[i] != 0 {
		h.extra = append(h.extra, message)
		return
	}
	h.took[i] = now.Sub(h.sent[i])
}

// samples returns how long each message took; an error if one was lost, doubled or made up.
func (h *handled) samples() ([]time.Duration, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, took := range h.took {
		if took == 0 {
			return nil, fmt.Errorf("message %d was acknowledged and not handled", h.first+i)
		}
	}
	if len(h.extra) > 0 {
		return nil, fmt.Errorf("%d messages were handled more than once, such as %.40q", len(h.extra), h.extra[0])
	}
	return h.took, nil
}

// poll calls done every few milliseconds until it says so or ctx ends: for engines that tell by asking only.
func poll(ctx context.Context, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if err := sleep(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
}
