package jetstream

import (
	"context"
	"sync"

	js "github.com/nats-io/nats.go/jetstream"
)

// The bounds of what is stored in one unit.
const (
	maxBatch      = 128
	maxBatchBytes = 8 << 20
	// maxMessage bounds one message, in bytes of its body.
	maxMessage = 8 << 20
)

// batches calls handle with the messages of an iterator, in order and as many at a time as
// are there, until one of them fails or ctx ends. It stops the iterator.
func batches(ctx context.Context, messages js.MessagesContext, handle func([]js.Msg) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	arrived := make(chan js.Msg, maxBatch)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(arrived)
		for {
			m, err := messages.Next(js.NextContext(ctx))
			if err != nil {
				cancel(err)
				return
			}
			select {
			case arrived <- m:
			case <-ctx.Done():
				return
			}
		}
	})
	defer func() {
		cancel(nil)
		reader.Wait()
		messages.Stop()
	}()
	for {
		batch := collect(ctx, arrived)
		if len(batch) == 0 {
			return context.Cause(ctx)
		}
		if err := handle(batch); err != nil {
			return err
		}
	}
}

// collect waits for a message and returns it with those that follow at once; none when
// there will be no more.
func collect(ctx context.Context, arrived <-chan js.Msg) (batch []js.Msg) {
	select {
	case m, ok := <-arrived:
		if !ok {
			return nil
		}
		batch = append(batch, m)
	case <-ctx.Done():
		return nil
	}
	for size := len(batch[0].Data()); len(batch) < maxBatch && size < maxBatchBytes; {
		select {
		case m, ok := <-arrived:
			if !ok {
				return batch
			}
			batch = append(batch, m)
			size += len(m.Data())
		default:
			return batch
		}
	}
	return batch
}
