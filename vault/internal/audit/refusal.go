package audit

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/perdure/perdure/vault/internal/model"
)

// Bounds of what is kept of refusals: in a minute an actor makes at most 2 × (maxActorBuckets+1) entries, and all together
// 2 × (maxBuckets+1). In a day an actor makes about 2 × maxActorDay, and all about 2 × maxDay; what is more is counted
// together, so that nobody fills the disk by being refused.
const (
	maxActorBuckets = 16
	maxBuckets      = 1024
	maxActorDay     = 500
	maxDay          = 10_000
	maxNames        = 8 // digests in an entry
)

// others stands for actors and operations that are over the bounds.
const others = "(others)"

// refusals counts refusals until they are written.
type refusals struct {
	mu      sync.Mutex
	buckets map[bucketKey]*bucket
	actors  map[actorMinute]int // buckets of each
	today   day
}

// day counts the buckets that were made on a day.
type day struct {
	number int64
	all    int
	of     map[actorMinute]int // minute is 0
}

// spend reports whether an actor may have another bucket on the day of its minute, and counts it then.
func (d *day) spend(at actorMinute) bool {
	const minutes = 24 * 60
	if number := at.minute / minutes; number != d.number || d.of == nil {
		*d = day{number: number, of: map[actorMinute]int{}}
	}
	at.minute = 0
	if d.all >= maxDay || d.of[at] >= maxActorDay {
		return false
	}
	d.all++
	d.of[at]++
	return true
}

type actorMinute struct {
	issuer, actor string
	minute        int64
}

// bucketKey is what the refusals of an entry have in common.
type bucketKey struct {
	actorMinute
	kind model.Kind
	op   model.Op
}

// bucket counts them.
type bucket struct {
	entry   Entry // of the first one
	count   int
	names   []string
	written bool // the entry of the first seconds; the rest follows when the minute has ended
}

// Refused counts a refusal. It is written within seconds, together with others like it.
func (l *Log) Refused(by *model.Caller, op *model.Operation) {
	e := l.Entry(by, op)
	e.Name, e.Version, e.Detail, e.Result = "", "", "", Refused
	e.tidy()
	at := actorMinute{e.Issuer, e.Actor, l.env.Now().Unix() / 60}
	key := bucketKey{at, e.Kind, e.Op}
	r := &l.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.buckets == nil {
		r.buckets, r.actors = map[bucketKey]*bucket{}, map[actorMinute]int{}
	}
	b := r.buckets[key]
	if b == nil && r.actors[at] >= maxActorBuckets {
		key = bucketKey{actorMinute: at, op: others}
		e.Kind, e.Op = "", others
		b = r.buckets[key]
	}
	if b == nil && (len(r.buckets) >= maxBuckets || !r.today.spend(at)) {
		key = bucketKey{actorMinute: actorMinute{actor: others, minute: at.minute}, op: others}
		e = &Entry{Actor: others, Op: others, Result: Refused}
		b = r.buckets[key]
	}
	if b == nil {
		b = &bucket{entry: *e}
		r.buckets[key] = b
		r.actors[key.actorMinute]++
	}
	b.count++
	for _, same := range []struct{ of, now *string }{{&b.entry.Vault, &e.Vault}, {&b.entry.IP, &e.IP}, {&b.entry.Agent, &e.Agent}} {
		if *same.of != *same.now {
			*same.of = "" // there are several
		}
	}
	if b.count > 1 {
		b.entry.Request = ""
	}
	if digest := NameDigest(op.ID); op.Name != "" && len(b.names) < maxNames && !slices.Contains(b.names, digest) {
		b.names = append(b.names, digest)
	}
}

// take removes what is to be written now: counts of minutes that have ended, and of new ones; all if all is set.
func (r *refusals) take(now time.Time, all bool) map[bucketKey]bucket {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := map[bucketKey]bucket{}
	for key, b := range r.buckets {
		ended := key.minute < now.Unix()/60
		if b.count > 0 && (ended || all || !b.written) {
			taken[key] = *b
			*b = bucket{entry: b.entry, written: true}
		}
		if ended {
			r.remove(key)
		}
	}
	return taken
}

func (r *refusals) remove(key bucketKey) {
	delete(r.buckets, key)
	if r.actors[key.actorMinute]--; r.actors[key.actorMinute] <= 0 {
		delete(r.actors, key.actorMinute)
	}
}

// restore puts back what could not be written.
func (r *refusals) restore(taken map[bucketKey]bucket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, old := range taken {
		b := r.buckets[key]
		if b == nil {
			r.buckets[key] = &old
			r.actors[key.actorMinute]++
			continue
		}
		b.count, b.written = b.count+old.count, old.written
		b.names = append(old.names, b.names...)
		b.names = b.names[:min(len(b.names), maxNames)]
	}
}

// flush writes refusals as entries, in a unit of its own.
func (l *Log) flush(ctx context.Context, all bool) error {
	taken := l.refusals.take(l.env.Now(), all)
	if len(taken) == 0 {
		return nil
	}
	list := make([]*Entry, 0, len(taken))
	for _, b := range taken {
		e := b.entry
		e.Count, e.Names = b.count, b.names
		list = append(list, &e)
	}
	slices.SortFunc(list, func(a, b *Entry) int {
		return strings.Compare(a.Issuer+"#"+a.Actor+"#"+string(a.Kind)+"#"+string(a.Op), b.Issuer+"#"+b.Actor+"#"+string(b.Kind)+"#"+string(b.Op))
	})
	err := l.Open(ctx)
	if err == nil {
		err = l.env.Unit(ctx, func(ctx context.Context) error {
			for _, e := range list {
				if err := l.Append(ctx, e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		l.refusals.restore(taken)
	}
	return err
}
