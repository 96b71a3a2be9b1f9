package engine

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/records"
)

// CompleteActivity ends a call from outside, with its result or a failure.
func (e *Engine) CompleteActivity(ctx context.Context, token string, out []byte, failure *history.Failure) error {
	if err := e.Err(); err != nil {
		return err
	}
	key, seq, secret, err := parseToken(token)
	if err != nil {
		return err
	}
	if len(out) > MaxPayload {
		return fmt.Errorf("%w: result of %d bytes, want at most %d", ErrInvalid, len(out), MaxPayload)
	}
	b := &inbound{event: history.Event{Kind: history.ActivityCompleted, Seq: seq, Data: out}}
	if failure != nil {
		b.event = history.Event{Kind: history.ActivityFailed, Seq: seq, Failure: failure}
	}
	b.check = func(in *instance) error {
		want, err := e.token(in, seq)
		if err != nil {
			return err
		}
		if want == "" || subtle.ConstantTimeCompare([]byte(want), []byte(secret)) != 1 {
			return ErrToken
		}
		return nil
	}
	err = e.ask(ctx, key, b)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrEnded) {
		return ErrToken
	}
	return err
}

// token returns the secret of call seq, which may still be running.
func (e *Engine) token(in *instance, seq uint32) (string, error) {
	if t := in.tasks[seq]; t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.token, nil
	}
	kept, err := e.storedTask(in.key, seq)
	if err != nil || kept == nil {
		return "", err
	}
	return kept.Token, nil
}

func parseToken(token string) (records.InstanceKey, uint32, string, error) {
	parts := strings.SplitN(token, ".", 3)
	if len(parts) != 3 || len(token) > 128 {
		return 0, 0, "", ErrToken
	}
	key, err1 := strconv.ParseUint(parts[0], 16, 64)
	seq, err2 := strconv.ParseUint(parts[1], 16, 32)
	if err1 != nil || err2 != nil || key == 0 || parts[2] == "" {
		return 0, 0, "", ErrToken
	}
	return records.InstanceKey(key), uint32(seq), parts[2], nil
}
