package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// jetStreamEngine is NATS JetStream with its server in this process, reached without a network.
type jetStreamEngine struct {
	deps       deps
	natsServer *natsserver.Server
	connection *nats.Conn
	js         jetstream.JetStream
	consumer   jetstream.Consumer
	consuming  jetstream.ConsumeContext
	stop       context.CancelFunc
	stopped    chan struct{}
}

const (
	// jetStreamReady is how long the server may take to start.
	jetStreamReady = 10 * time.Second
	// jetStreamBatch is how many messages of a stream are asked for at a time.
	jetStreamBatch = 1000
	// jetStreamSubject is what the messages are published to.
	jetStreamSubject = "bench"
)

func newJetStream(d deps) (engine, facts, error) {
	return &jetStreamEngine{deps: d}, facts{
		version: moduleVersion("github.com/nats-io/nats-server/v2"), store: "file",
		durability: "sync_interval: always",
	}, nil
}

func (e *jetStreamEngine) open(ctx context.Context, dir string) (err error) {
	e.natsServer, err = natsserver.NewServer(&natsserver.Options{
		DontListen: true, JetStream: true, StoreDir: filepath.Join(dir, "jetstream"), SyncAlways: true, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return err
	}
	go e.natsServer.Start()
	if !e.natsServer.ReadyForConnections(jetStreamReady) {
		return errors.New("the server did not become ready")
	}
	if e.connection, err = nats.Connect("", nats.InProcessServer(e.natsServer)); err != nil {
		return err
	}
	if e.js, err = jetstream.New(e.connection); err != nil {
		return err
	}
	config := jetstream.StreamConfig{Name: "bench", Subjects: []string{jetStreamSubject}, Storage: jetstream.FileStorage}
	consumer := jetstream.ConsumerConfig{Durable: "bench", MaxAckPending: 10_000}
	if e.deps.workload == queued {
		config.Retention = jetstream.WorkQueuePolicy
		consumer.AckPolicy = jetstream.AckExplicitPolicy
	} else {
		consumer.AckPolicy = jetstream.AckAllPolicy
	}
	stream, err := e.js.CreateStream(ctx, config)
	if err != nil {
		return err
	}
	if e.consumer, err = stream.CreateConsumer(ctx, consumer); err != nil {
		return err
	}
	if e.deps.workload == queued {
		e.consuming, err = e.consumer.Consume(func(m jetstream.Msg) {
			e.deps.handle(string(m.Data()))
			_ = m.Ack() // what is not acknowledged is seen by drained
		})
		return err
	}
	ctx, e.stop = context.WithCancel(context.WithoutCancel(ctx))
	e.stopped = make(chan struct{})
	go e.read(ctx)
	return nil
}

// read handles the stream in batches and acknowledges each with its last message.
func (e *jetStreamEngine) read(ctx context.Context) {
	defer close(e.stopped)
	for ctx.Err() == nil {
		batch, err := e.consumer.FetchNoWait(jetStreamBatch)
		if err != nil {
			continue
		}
		var last jetstream.Msg
		for m := range batch.Messages() {
			e.deps.handle(string(m.Data()))
			last = m
		}
		if last == nil {
			_ = sleep(ctx, time.Millisecond) // ends with ctx, as the loop does
			continue
		}
		_ = last.DoubleAck(ctx) // what is not acknowledged is seen by drained
	}
}

func (e *jetStreamEngine) send(ctx context.Context, message string) error {
	_, err := e.js.Publish(ctx, jetStreamSubject, []byte(message))
	return err
}

func (e *jetStreamEngine) drained(ctx context.Context, n int) error {
	return poll(ctx, func() (bool, error) {
		info, err := e.consumer.Info(ctx)
		if err != nil {
			return false, err
		}
		return info.AckFloor.Consumer >= uint64(n) && info.NumAckPending == 0, nil
	})
}

func (e *jetStreamEngine) server() int { return 0 }

func (e *jetStreamEngine) close() error {
	if e.consuming != nil {
		e.consuming.Stop()
	}
	if e.stop != nil {
		e.stop()
		<-e.stopped
	}
	if e.connection != nil {
		e.connection.Close()
	}
	if e.natsServer != nil {
		e.natsServer.Shutdown()
		e.natsServer.WaitForShutdown()
	}
	return nil
}
