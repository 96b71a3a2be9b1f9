package consumer_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/consumer"
	"github.com/perdure/perdure/internal/delivery"
)

// batches records the batches that a function gets.
type batches struct {
	mu   sync.Mutex
	seen []string
}

func (b *batches) handle(ctx context.Context, batch []*consumer.Event) error {
	var texts []string
	for _, e := range batch {
		texts = append(texts, text(e))
	}
	b.mu.Lock()
	b.seen = append(b.seen, strings.Join(texts, " "))
	b.mu.Unlock()
	return noteAll(ctx, batch)
}

func (b *batches) all() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.seen, "; ")
}

func TestBatchesAreAsLargeAsAllowed(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	b := &batches{}
	w.append(1, "a=1", "a=2", "a=3", "a=4", "a=5")
	w.start(nil, consumer.Group{HandleBatch: b.handle, Batch: consumer.Batch{Size: 2}})
	w.settle()
	w.expect("by size", b.all(), "a=1 a=2; a=3 a=4; a=5")
	w.append(1, "a=6")
	w.settle()
	w.expect("without waiting", b.all(), "a=1 a=2; a=3 a=4; a=5; a=6")

	w, _ = newWorld(t)
	b = &batches{}
	w.append(1, "a=1", "a=2", "a=3", "a=4")
	w.start(nil, consumer.Group{HandleBatch: b.handle, Batch: consumer.Batch{Bytes: 10}})
	w.settle()
	w.expect("by bytes", b.all(), "a=1 a=2; a=3 a=4")
}

func TestABatchWaitsForMore(t *testing.T) {
	t.Parallel()
	w, clock := newWorld(t)
	b := &batches{}
	w.append(1, "a=1")
	w.start(nil, consumer.Group{HandleBatch: b.handle, Batch: consumer.Batch{Size: 3, Wait: time.Second}})
	w.settle()
	w.append(1, "a=2")
	w.settle()
	w.expect("before the time is over", b.all(), "")
	w.append(1, "a=3", "a=4")
	w.settle()
	w.expect("when it is full", b.all(), "a=1 a=2 a=3")
	clock.Advance(time.Second)
	w.settle()
	w.expect("when the time is over", b.all(), "a=1 a=2 a=3; a=4")
}

// A batch that failed is tried again whole, and its partition waits for it; others go
// on.
func TestABatchThatFailsHoldsItsPartition(t *testing.T) {
	t.Parallel()
	w, clock := newWorld(t)
	f := fails(map[string]int{"a=2": 1})
	other := "b"
	w.append(2, "a=1", "a=2", "a=3", other+"=1")
	w.start(nil, consumer.Group{Partitions: 2, HandleBatch: f.handleBatch, Batch: consumer.Batch{Size: 2}})
	w.settle()
	w.append(2, "a=4", other+"=2")
	w.settle()
	w.expect("a", w.handled("a"), "")
	w.expect(other, w.handled(other), other+"=1 "+other+"=2")
	clock.Advance(time.Minute)
	w.settle()
	w.expect("a", w.handled("a"), "a=1 a=2 a=3 a=4")
	w.expect("lag", w.lag(), 0)
}

func TestABatchThatIsADeadLetterHoldsItsPartition(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	f := fails(map[string]int{"a=1": 1})
	g := consumer.Group{
		HandleBatch: f.handleBatch, Batch: consumer.Batch{Size: 2}, Policy: delivery.Policy{Attempts: 1},
	}
	w.append(1, "a=1", "a=2", "a=3")
	w.start(nil, g)
	w.settle()
	w.restart(g)
	w.settle()
	w.expect("a", w.handled("a"), "")
	letters, _, err := w.dispatcher.DeadLetters("f", "", 0)
	if err != nil || len(letters) != 1 {
		t.Fatal(letters, err)
	}
	if !strings.Contains(string(letters[0].Event), `"data":"a=2"`) {
		t.Errorf("the dead letter holds %s", letters[0].Event)
	}
	if err := w.dispatcher.Resend(context.Background(), "f", letters[0].ID); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.expect("after it was sent again", w.handled("a"), "a=1 a=2 a=3")

	f.times["a=4"] = 1
	w.append(1, "a=4", "a=5", "a=6")
	w.settle()
	w.expect("behind a second one", w.handled("a"), "a=1 a=2 a=3")
	letters, _, err = w.dispatcher.DeadLetters("f", "", 0)
	if err != nil || len(letters) != 1 {
		t.Fatal(letters, err)
	}
	if err := w.dispatcher.Drop(context.Background(), "f", letters[0].ID); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.expect("after that was dropped", w.handled("a"), "a=1 a=2 a=3 a=6")
}

// A function that comes to handle batches gets also what it spilled when it did not,
// and the other way round.
func TestAFunctionThatChangesItsKind(t *testing.T) {
	t.Parallel()
	w, clock := newWorld(t)
	f := fails(map[string]int{"a=1": 1, "b=1": 1})
	w.append(1, "a=1")
	w.start(nil, consumer.Group{Handle: f.handle})
	w.settle()
	w.restart(consumer.Group{HandleBatch: f.handleBatch})
	clock.Advance(time.Minute)
	w.settle()
	w.expect("a", w.handled("a"), "a=1")
	w.append(1, "b=1", "b=2")
	w.settle()
	w.restart(consumer.Group{Handle: f.handle})
	clock.Advance(time.Minute)
	w.settle()
	w.expect("b", w.handled("b"), "b=1 b=2")
	w.expect("dead letters", fmt.Sprint(w.letters()), "[]")
}
