// Package guard slows down who tries too often: guesses of passwords and codes, and requests that
// send mail.
//
// Attempts are counted in rows, so a restart forgets none. An attempt is counted before it is
// judged: guesses made in parallel do not slip through between the check and the count.
package guard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"github.com/perdure/perdure/table"
)

// Rule says how many attempts are free, and how long the next one has to wait after that.
type Rule struct {
	// Name tells the counters of one rule from those of others.
	Name string
	// Free is how many attempts there are before the first wait.
	Free int
	// Delay is the first wait. It doubles with each further attempt, up to Max.
	Delay, Max time.Duration
	// Forget is how long after the last attempt the count begins anew.
	Forget time.Duration
}

// count is how often something was tried.
type count struct {
	N       int       `json:"n"`
	Until   time.Time `json:"until,omitzero"` // refused before
	Expires time.Time `json:"expires"`
}

var counts = table.Of("perdure.attempts", table.ExpiresAt(func(c *count) time.Time { return c.Expires }))

// key is the key of a counter: its partition is that of the first part. What is tried (an address) is
// not kept in clear text.
func (r Rule) key(parts []string) string {
	h := sha256.New()
	for _, p := range parts[min(1, len(parts)):] {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return table.Key{Partition: r.partition(parts[0]), Row: hex.EncodeToString(h.Sum(nil))}.String()
}

func (r Rule) partition(first string) string {
	d := sha256.Sum256([]byte(first))
	return r.Name + " " + hex.EncodeToString(d[:])
}

// maxForgiven bounds how many counters ForgiveAll deletes at once.
const maxForgiven = 10_000

// ForgiveAll forgets all attempts at what begins with a part.
func (r Rule) ForgiveAll(ctx context.Context, first string) error {
	for row, err := range counts.Scan(ctx, r.partition(first), table.Limit(maxForgiven)) {
		if err != nil {
			return err
		}
		if err := counts.Delete(ctx, row.Key.String()); err != nil {
			return err
		}
	}
	return nil
}

// Waits reports whether an attempt at something that begins with a part has to wait.
func (r Rule) Waits(ctx context.Context, now time.Time, first string) (bool, error) {
	for row, err := range counts.Scan(ctx, r.partition(first), table.Limit(maxForgiven)) {
		if err != nil {
			return false, err
		}
		if now.Before(row.Value.Until) {
			return true, nil
		}
	}
	return false, nil
}

// Take counts an attempt at what the parts name, one at least. If it may not be made yet it is not counted and
// the answer is how long to wait, so that waiting ends however often others try.
func (r Rule) Take(ctx context.Context, now time.Time, parts ...string) (wait time.Duration, err error) {
	c, err := r.get(ctx, now, parts)
	if err != nil {
		return 0, err
	}
	if wait := c.Until.Sub(now); wait > 0 {
		return wait, nil
	}
	c.N++
	c.Until = time.Time{}
	if c.N >= r.Free {
		c.Until = now.Add(r.delay(c.N - r.Free))
	}
	c.Expires = now.Add(r.Forget)
	return 0, counts.Put(ctx, r.key(parts), c)
}

// Wait is how long the next attempt has to wait, without counting one.
func (r Rule) Wait(ctx context.Context, now time.Time, parts ...string) (time.Duration, error) {
	c, err := r.get(ctx, now, parts)
	if err != nil {
		return 0, err
	}
	return max(0, c.Until.Sub(now)), nil
}

func (r Rule) delay(doublings int) time.Duration {
	d := r.Delay
	for range doublings {
		if d >= r.Max {
			break
		}
		d *= 2
	}
	return min(d, r.Max)
}

func (r Rule) get(ctx context.Context, now time.Time, parts []string) (*count, error) {
	c, err := counts.Get(ctx, r.key(parts))
	if errors.Is(err, table.ErrNotFound) || err == nil && !now.Before(c.Expires) {
		return &count{}, nil
	}
	return c, err
}

// Return takes back an attempt that was none: it succeeded.
func (r Rule) Return(ctx context.Context, now time.Time, parts ...string) error {
	c, err := r.get(ctx, now, parts)
	if err != nil || c.N == 0 {
		return err
	}
	c.N--
	c.Until = time.Time{}
	return counts.Put(ctx, r.key(parts), c)
}

// Forgive forgets all attempts.
func (r Rule) Forgive(ctx context.Context, parts ...string) error {
	err := counts.Delete(ctx, r.key(parts))
	if errors.Is(err, table.ErrNotFound) {
		return nil
	}
	return err
}

// Network is what addresses are counted by: an IPv4 address itself, and of an IPv6 address the
// network, of which one customer has all addresses.
func Network(addr netip.Addr) string {
	addr = addr.Unmap()
	if addr.Is6() {
		if p, err := addr.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}
