package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/test/program"
)

// patience is how long the program may take to get on with its work.
const patience = time.Minute

// senders is how many requests are sent at a time.
const senders = 8

// play sends everything, kills the program meanwhile, and waits until all is counted.
func (s settings) play(ctx context.Context, p *program.Program) (report string, err error) {
	if err := p.Start(ctx); err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begun := time.Now()
	var next, accepted atomic.Int64
	var work sync.WaitGroup
	for range senders {
		work.Go(func() {
			for i := int(next.Add(1)) - 1; i < s.batches(); i = int(next.Add(1)) - 1 {
				if err := s.send(ctx, p, i); err != nil {
					cancel(err)
					return
				}
				accepted.Add(1)
			}
		})
	}
	for kill := 1; kill <= s.kills; kill++ {
		for at := int64(kill * s.batches() / (s.kills + 1)); accepted.Load() < at && ctx.Err() == nil; {
			pause(ctx)
		}
		p.Kill()
		if err := p.Start(ctx); err != nil {
			return "", fmt.Errorf("after kill %d: %w", kill, err)
		}
	}
	work.Wait()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err := s.await(ctx, p); err != nil {
		return "", err
	}
	took := time.Since(begun)
	return fmt.Sprintf("%d events, %d kills: %[1]d counted by name and by letter, in %[3]v (%.0[4]f/s)",
		s.events, s.kills, took.Round(time.Millisecond), float64(s.events)/took.Seconds()), nil
}

// pause waits a little.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Millisecond):
	}
}

// batch is the body of the i-th request.
func (s settings) body(i int) ([]byte, error) {
	names := make([]string, min(s.batch, s.events-i*s.batch))
	for j := range names {
		names[j] = fmt.Sprintf("%c%c-%d", 'a'+(i+j)%26, 'a'+j%26, j%7)
	}
	return json.Marshal(map[string][]string{"names": names})
}

// send sends the i-th request until it is accepted.
func (s settings) send(ctx context.Context, p *program.Program, i int) error {
	body, err := s.body(i)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if url := p.URL(); url != "" {
			status, text, err := post(ctx, url+"/api/names", fmt.Sprintf("soak-%d", i), body)
			switch {
			case err == nil && status == http.StatusAccepted:
				return nil
			case err == nil && status < http.StatusInternalServerError:
				return fmt.Errorf("batch %d was refused: %d %s", i, status, text)
			}
		}
		pause(ctx)
	}
	return context.Cause(ctx)
}

func post(ctx context.Context, url, key string, body []byte) (status int, text string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	return answer.StatusCode, string(b), err
}

// await waits until everything is counted. No progress for a while is an error, and so is
// a name too many, also one that comes a little later.
func (s settings) await(ctx context.Context, p *program.Program) error {
	last, moved := -1, time.Now()
	for again := false; ; {
		names, letters, err := counted(ctx, p.URL())
		switch {
		case err != nil:
			return err
		case names > s.events || letters > s.events:
			return fmt.Errorf("%d events were sent, but %d are counted by name and %d by letter", s.events, names, letters)
		case names == s.events && letters == s.events && again:
			return nil
		case names == s.events && letters == s.events:
			again = true
			time.Sleep(time.Second) // for a name that is counted once more
			continue
		case names+letters != last:
			last, moved = names+letters, time.Now()
		case time.Since(moved) > patience:
			return fmt.Errorf("%d events were sent, and for %v only %d are counted by name and %d by letter", s.events, patience, names, letters)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// counted adds up what the live endpoint shows.
func counted(ctx context.Context, url string) (names, letters int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/live/counts", nil)
	if err != nil {
		return 0, 0, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, 0, err
	}
	defer answer.Body.Close()
	lines, event := bufio.NewScanner(answer.Body), ""
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case field == "event" && value == "ready":
			return names, letters, nil
		case field == "event":
			event = value
		case field == "data" && event == "changes":
			var changes []struct {
				Row struct {
					Of    string
					Count int
				}
			}
			if err := json.Unmarshal([]byte(value), &changes); err != nil {
				return 0, 0, err
			}
			for _, c := range changes {
				if c.Row.Of == "name" {
					names += c.Row.Count
				} else {
					letters += c.Row.Count
				}
			}
		}
	}
	return 0, 0, errors.Join(errors.New("the live counts end before they are complete"), lines.Err())
}
