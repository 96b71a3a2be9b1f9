package perdure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/jetstream/natstest"
	"github.com/perdure/perdure/perduretest"
	"github.com/perdure/perdure/queue"
	"github.com/perdure/perdure/stream"
	"github.com/perdure/perdure/table"
)

// sensors is a stream that lives on NATS, and sums what its function has made of it.
var (
	sensors = stream.Of[reading]("sensors", stream.Partitions(4), stream.KeyBy(func(r reading) string { return r.Sensor }))
	sums    = table.Of[item]("sums")
)

type sensorIn struct {
	Event stream.Event[reading] `body:""`
}

// addSensor adds a reading to the row of its key.
func addSensor(ctx context.Context, in *sensorIn) (*struct{}, error) {
	key := "of " + in.Event.Key
	row, err := sums.Get(ctx, key)
	if errors.Is(err, table.ErrNotFound) {
		row = &item{}
	} else if err != nil {
		return nil, err
	}
	row.Count += in.Event.Value.Value
	row.Text = strings.TrimSpace(fmt.Sprint(row.Text, " ", in.Event.Value.Value))
	return nil, sums.Put(ctx, key, row)
}

func sensorParts() []perdure.Part { return []perdure.Part{sums, perdure.OnStream(sensors, addSensor)} }

// onNATS puts the stream on a server.
func onNATS(s *natstest.Server, more string) perdure.Config {
	return perdure.Config{
		Streams: map[string]string{"sensors": "nats://" + s.Host() + "/plant.readings?stream=PLANT" + more},
		Logger:  slog.New(slog.DiscardHandler),
	}
}

// sendReadings appends readings of the sensor, each in a unit of its own.
func sendReadings(app *perduretest.App, sensor string, values ...int) {
	for _, v := range values {
		app.Unit(func(ctx context.Context) error { return sensors.Append(ctx, reading{sensor, v}) })
	}
}

// wantSum checks what the function has seen of a sensor, in order.
func wantSum(t *testing.T, app *perduretest.App, sensor string, values ...int) {
	t.Helper()
	want := strings.Trim(fmt.Sprint(values), "[]")
	app.Unit(func(ctx context.Context) error {
		row, err := sums.Get(ctx, "of "+sensor)
		if errors.Is(err, table.ErrNotFound) {
			row, err = &item{}, nil
		}
		if err == nil && row.Text != want {
			t.Errorf("sensor %s: %q, want %q", sensor, row.Text, want)
		}
		return err
	})
}

// another puts a resource on a JetStream stream that nobody has used, and returns its
// subject.
func another(s *natstest.Server, urls map[string]string, name, more string) (subject string) {
	subject = nats.NewInbox()[1:]
	urls[name] = fmt.Sprintf("nats://%s/%s?stream=%s%s", s.Host(), subject, strings.ReplaceAll(subject, ".", "_"), more)
	return subject
}

// publish sends a reading as another program does, which gives it a key.
func publish(t *testing.T, js jetstream.JetStream, subject, key string, value int) {
	t.Helper()
	m := nats.NewMsg(subject)
	m.Header.Set("Perdure-Key", key)
	m.Data = fmt.Appendf(nil, `{"sensor":"any","value":%d}`, value)
	if _, err := js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func TestStreamOnNATS(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	app := perduretest.Start(t, onNATS(server, ""), sensorParts()...)
	sendReadings(app, "a", 1, 2)
	sendReadings(app, "b", 7)
	wantSum(t, app, "a", 1, 2)
	wantSum(t, app, "b", 7)

	server.Kill()
	sendReadings(app, "a", 3, 4)
	app.Kill()
	sendReadings(app, "a", 5)
	wantSum(t, app, "a", 1, 2)
	server.Resume()
	app.Advance(time.Minute)
	wantSum(t, app, "a", 1, 2, 3, 4, 5)
	app.Restart()
	sendReadings(app, "a", 6)
	wantSum(t, app, "a", 1, 2, 3, 4, 5, 6)
	wantSum(t, app, "b", 7)
	if n := server.Messages(t.Context(), server.Connect(), "PLANT"); n != 7 {
		t.Errorf("the server has %d messages", n)
	}
}

// Whatever crashes, at whichever commit: each event is counted once and in order. Among
// these commits is the one that removes from the outbox what the server has, and the
// one that stores what was read.
func TestStreamOnNATSCrashesEverywhere(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	js, subject := server.Connect(), ""
	c := onNATS(server, "")
	parts := func() []perdure.Part {
		subject = another(server, c.Streams, "sensors", "")
		return sensorParts()
	}
	perduretest.CrashEverywhere(t, c, parts, func(t *testing.T, app *perduretest.App) {
		sendReadings(app, "a", 1, 2)
		publish(t, js, subject, "foreign", 3)
		app.Settle()
		sendReadings(app, "b", 4)
		wantSum(t, app, "a", 1, 2)
		wantSum(t, app, "foreign", 3)
		wantSum(t, app, "b", 4)
	})
}

// The server dies again and again while events are on their way to it, and what it had
// taken is sent again.
func TestServerDiesInTheMiddle(t *testing.T) {
	t.Parallel()
	const rounds, each, kills = 4, 150, 40
	server := natstest.Start(t, nil)
	app := perduretest.Start(t, onNATS(server, ""), sensorParts()...)
	want := map[string][]int{}
	for round := range rounds {
		seen := make(chan *nats.Msg, each)
		if _, err := server.Connect().Conn().ChanSubscribe("plant.readings", seen); err != nil {
			t.Fatal(err)
		}
		err := app.App.Unit(t.Context(), func(ctx context.Context) error {
			var all []reading
			for i := range each {
				r := reading{fmt.Sprint("s", i%3), round*each + i}
				all = append(all, r)
				want[r.Sensor] = append(want[r.Sensor], r.Value)
			}
			return sensors.Append(ctx, all...)
		})
		if err != nil {
			t.Fatal(err)
		}
		for range kills {
			<-seen
		}
		server.Kill()
		if round%2 == 1 {
			app.Kill()
		}
		server.Resume()
		app.Advance(2 * time.Minute)
	}
	for sensor, values := range want {
		wantSum(t, app, sensor, values...)
	}
	app.WantNoDeadLetters()
}

// The server's own window for duplicates may be over when an event is sent again.
func TestStreamOnNATSDropsLateDuplicates(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	js := server.Connect()
	app := perduretest.Start(t, onNATS(server, ""), sensorParts()...)
	sendReadings(app, "a", 1, 2)
	found, err := js.Stream(t.Context(), "PLANT")
	if err != nil {
		t.Fatal(err)
	}
	for _, sequence := range []uint64{2, 1} {
		raw, err := found.GetMsg(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		raw.Header.Set(nats.MsgIdHdr, fmt.Sprint("beyond the window ", sequence))
		if _, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: raw.Subject, Header: raw.Header, Data: raw.Data}); err != nil {
			t.Fatal(err)
		}
	}
	app.Settle()
	sendReadings(app, "a", 3)
	wantSum(t, app, "a", 1, 2, 3)
}

// Programs that know nothing of Perdure publish JSON, and may give a key.
func TestStreamOnNATSTakesForeignMessages(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	js := server.Connect()
	app := perduretest.Start(t, onNATS(server, ""), sensorParts()...)
	for i := range 20 {
		publish(t, js, "plant.readings", fmt.Sprint("key", i%2), i)
	}
	if _, err := js.Publish(t.Context(), "plant.readings", []byte(`{"value":5}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "plant.readings", []byte("no JSON")); err != nil {
		t.Fatal(err)
	}
	app.Settle()
	app.Kill()
	app.Restart()
	wantSum(t, app, "key0", 0, 2, 4, 6, 8, 10, 12, 14, 16, 18)
	wantSum(t, app, "key1", 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)
	wantSum(t, app, "", 5)
	app.Advance(time.Hour)
	if letters := app.DeadLetters(); len(letters) != 1 {
		t.Errorf("%d dead letters, want that of the text alone", len(letters))
	}
}

func TestUnitThatFailsSendsNothing(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	app := perduretest.Start(t, onNATS(server, ""), sensorParts()...)
	broken := errors.New("broken")
	err := app.TryUnit(func(ctx context.Context) error {
		return errors.Join(sensors.Append(ctx, reading{"a", 1}), broken)
	})
	if !errors.Is(err, broken) {
		t.Errorf("the unit: %v", err)
	}
	app.Settle()
	if n := server.Messages(t.Context(), server.Connect(), "PLANT"); n != 0 {
		t.Errorf("the server has %d messages", n)
	}
	wantSum(t, app, "a")
}

// Two apps share a stream: each sees what both send, in the same order.
func TestAppsShareAStreamOnNATS(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	one := perduretest.Start(t, onNATS(server, ""), sensorParts()...)
	two := perduretest.Start(t, onNATS(server, ""), sensorParts()...)
	for i := range 5 {
		sendReadings(one, "a", i)
		sendReadings(two, "a", 10+i)
	}
	one.Settle()
	two.Settle()
	for _, app := range []*perduretest.App{one, two} {
		wantSum(t, app, "a", 0, 10, 1, 11, 2, 12, 3, 13, 4, 14)
	}
}

// jobs is a queue that lives on NATS.
var jobs = queue.Of[reading]("jobs", queue.OrderBy(func(r reading) string { return r.Sensor }))

type jobIn struct {
	Job queue.Received[reading] `body:""`
}

func doJob(ctx context.Context, in *jobIn) (*struct{}, error) {
	return addSensor(ctx, &sensorIn{Event: stream.Event[reading]{Key: in.Job.Key, Value: in.Job.Value}})
}

func jobParts() []perdure.Part { return []perdure.Part{sums, perdure.OnQueue(jobs, doJob)} }

// queueOnNATS puts the queue on a server, which sends what is not acknowledged again soon.
func queueOnNATS(s *natstest.Server) perdure.Config {
	return perdure.Config{
		Queues: map[string]string{"jobs": "nats://" + s.Host() + "/jobs?stream=JOBS&ack_wait=200ms"},
		Logger: slog.New(slog.DiscardHandler),
	}
}

func sendJobs(app *perduretest.App, sensor string, values ...int) {
	for _, v := range values {
		app.Unit(func(ctx context.Context) error { return jobs.Send(ctx, reading{sensor, v}) })
	}
}

func TestQueueOnNATS(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	app := perduretest.Start(t, queueOnNATS(server), jobParts()...)
	sendJobs(app, "a", 1, 2)
	wantSum(t, app, "a", 1, 2)
	server.Kill()
	sendJobs(app, "a", 3)
	app.Kill()
	sendJobs(app, "b", 4)
	server.Resume()
	app.Advance(time.Minute)
	wantSum(t, app, "a", 1, 2, 3)
	wantSum(t, app, "b", 4)
	js := server.Connect()
	if _, err := js.Publish(t.Context(), "jobs", []byte(`{"sensor":"foreign","value":5}`)); err != nil {
		t.Fatal(err)
	}
	app.Settle()
	wantSum(t, app, "", 5)
	if n := server.Messages(t.Context(), js, "JOBS"); n != 0 {
		t.Errorf("the server has %d messages", n)
	}
}

func TestQueueOnNATSCrashesEverywhere(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	js, subject := server.Connect(), ""
	c := queueOnNATS(server)
	parts := func() []perdure.Part {
		subject = another(server, c.Queues, "jobs", "&ack_wait=200ms")
		return jobParts()
	}
	perduretest.CrashEverywhere(t, c, parts, func(t *testing.T, app *perduretest.App) {
		sendJobs(app, "a", 1, 2)
		publish(t, js, subject, "foreign", 3)
		app.Settle()
		wantSum(t, app, "a", 1, 2)
		wantSum(t, app, "foreign", 3)
	})
}

func TestQueueOnNATSKeepsDelayAndPriority(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	app := perduretest.Start(t, queueOnNATS(server), jobParts()...)
	app.Unit(func(ctx context.Context) error {
		return jobs.Send(ctx, reading{"a", 1}, queue.Delay(time.Hour), queue.Priority(3))
	})
	app.Unit(func(ctx context.Context) error {
		waiting, err := jobs.Peek(ctx, 10)
		if err == nil && (len(waiting) != 1 || waiting[0].Priority != 3) {
			t.Errorf("waiting: %+v", waiting)
		}
		return err
	})
	app.Advance(59 * time.Minute)
	wantSum(t, app, "a")
	app.Advance(time.Minute)
	wantSum(t, app, "a", 1)
}

// An app without the queue's function sends, and takes nothing.
func TestQueueOnNATSWithoutFunction(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	sender := perduretest.Start(t, queueOnNATS(server), sums, jobs)
	sendJobs(sender, "a", 1, 2)
	if n := server.Messages(t.Context(), server.Connect(), "JOBS"); n != 2 {
		t.Errorf("the server has %d messages", n)
	}
	app := perduretest.Start(t, queueOnNATS(server), jobParts()...)
	wantSum(t, app, "a", 1, 2)
	wantSum(t, sender, "a")
}

// traces reach the other side, and so do headers that NATS cannot carry as they are.
func TestHeadersTravelOverNATS(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	app := perduretest.Start(t, onNATS(server, ""), sums, sensors)
	want := map[string]string{"traceparent": "00-1-2-01", "Plain": "text", "with space": "a\r\nb ", "Nats-Msg-Id": "mine", "Perdure-Key": "mine"}
	key := " key\nwith everything ü"
	app.Unit(func(ctx context.Context) error {
		return sensors.AppendEvents(ctx, stream.Event[reading]{Value: reading{"a", 1}, Key: key, Headers: want})
	})
	app.Unit(func(ctx context.Context) error {
		var all []stream.Event[reading]
		for p := range 4 {
			events, err := sensors.Read(ctx, p, stream.FromStart, 10)
			if err != nil {
				return err
			}
			all = append(all, events...)
		}
		if len(all) != 1 {
			t.Fatalf("%d events", len(all))
		}
		e := all[0]
		if fmt.Sprint(e.Headers) != fmt.Sprint(want) || e.Key != key || !e.Time.Equal(app.Now()) || e.Value != (reading{"a", 1}) {
			t.Errorf("got %+v", e)
		}
		return nil
	})
}

func TestNATSConfiguration(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	js := server.Connect()
	for _, c := range []jetstream.StreamConfig{
		{Name: "WORK", Subjects: []string{"work"}, Retention: jetstream.WorkQueuePolicy},
		{Name: "OTHER", Subjects: []string{"other"}},
		{Name: "NOACK", Subjects: []string{"noack"}, NoAck: true},
	} {
		if _, err := js.CreateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct{ resource, url, want string }{
		"no such stream":  {"nothing", "nats://localhost", `Streams["nothing"]: the app has no stream of that name`},
		"a table":         {"sums", "nats://localhost", `Streams["sums"]: the app has no stream of that name`},
		"no URL":          {"sensors", "nats://u:secret/word@localhost", `Streams["sensors"]: this is no URL`},
		"scheme":          {"sensors", "kafka://u:secret@localhost", `want nats://HOST`},
		"parameter":       {"sensors", "nats://u:secret@localhost?color=red", `there is no parameter "color"`},
		"wrong retention": {"sensors", "nats://" + server.Host() + "/work?stream=WORK", `needs the retention "limits"`},
		"wrong subject":   {"sensors", "nats://" + server.Host() + "/mine?stream=OTHER", `does not take the subject "mine"`},
		"no answers":      {"sensors", "nats://" + server.Host() + "/noack?stream=NOACK", `does not acknowledge`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := perdure.New(perdure.Config{
				Store: "memory:", Listen: "none", Hosts: []string{"x"}, Logger: slog.New(slog.DiscardHandler),
				Streams: map[string]string{test.resource: test.url},
			})
			app.Add(sensorParts()...)
			err := app.Start(t.Context())
			if !errors.Is(err, perdure.ErrConfig) || !strings.Contains(fmt.Sprint(err), test.want) || strings.Contains(fmt.Sprint(err), "secret") {
				t.Errorf("%v; want one with %s", err, test.want)
			}
			_ = app.Stop(t.Context())
		})
	}
}

// An event that the server does not allow waits, with those behind it, until it does.
func TestTooLargeForTheServer(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, func(o *natstest.Options) { o.MaxPayload = 1 << 10 })
	c, log := onNATS(server, ""), &lockedBuffer{}
	c.Logger = slog.New(slog.NewTextHandler(log, nil))
	app := perduretest.Start(t, c, sensorParts()...)
	sendReadings(app, "a", 1)
	app.Unit(func(ctx context.Context) error {
		return sensors.AppendEvents(ctx, stream.Event[reading]{Key: "large", Value: reading{strings.Repeat("x", 2<<10), 2}})
	})
	sendReadings(app, "a", 3)
	wantSum(t, app, "a", 1)
	if !strings.Contains(log.String(), "raise max_payload") {
		t.Errorf("the log: %s", log)
	}
	server.Kill()
	server.Change(func(o *natstest.Options) { o.MaxPayload = 1 << 20 })
	server.Resume()
	app.Advance(5 * time.Minute)
	wantSum(t, app, "a", 1, 3)
	wantSum(t, app, "large", 2)
}

// A stream that was removed is made anew, and a consumer too.
func TestRemovedOnTheServer(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	js := server.Connect()
	c := onNATS(server, "")
	c.Queues = queueOnNATS(server).Queues
	app := perduretest.Start(t, c, append(sensorParts(), jobParts()...)...)
	sendReadings(app, "a", 1)
	sendJobs(app, "b", 1)
	if err := errors.Join(js.DeleteStream(t.Context(), "PLANT"), js.DeleteConsumer(t.Context(), "JOBS", "perdure")); err != nil {
		t.Fatal(err)
	}
	app.Kill()
	app.Advance(5 * time.Minute)
	sendReadings(app, "a", 2)
	sendJobs(app, "b", 2)
	wantSum(t, app, "a", 1, 2)
	wantSum(t, app, "b", 1, 2)
}

// A queue that is full makes its senders wait.
func TestQueueOnNATSIsFull(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	c := perdure.Config{
		Queues: map[string]string{"jobs": "nats://" + server.Host() + "/jobs?stream=JOBS&max_bytes=600"},
		Logger: slog.New(slog.DiscardHandler),
	}
	sender := perduretest.Start(t, c, sums, jobs)
	sendJobs(sender, "a", 1, 2, 3, 4, 5, 6)
	if n := server.Messages(t.Context(), server.Connect(), "JOBS"); n == 0 || n == 6 {
		t.Errorf("the server has %d of 6 messages", n)
	}
	app := perduretest.Start(t, c, jobParts()...)
	for range 6 {
		sender.Advance(time.Minute)
		app.Settle()
	}
	wantSum(t, app, "a", 1, 2, 3, 4, 5, 6)
}

// What exists on the server is not changed; what differs is told.
func TestNATSDoesNotChangeStreams(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	js := server.Connect()
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "PLANT", Subjects: []string{"plant.>"}, Storage: jetstream.MemoryStorage, MaxAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	c := onNATS(server, "&max_age=24h&max_bytes=1000000")
	log := &lockedBuffer{}
	c.Logger = slog.New(slog.NewTextHandler(log, nil))
	app := perduretest.Start(t, c, sensorParts()...)
	sendReadings(app, "a", 1)
	wantSum(t, app, "a", 1)
	found, err := js.Stream(t.Context(), "PLANT")
	if err != nil {
		t.Fatal(err)
	}
	if is := found.CachedInfo().Config; is.MaxAge != time.Hour || is.MaxBytes != -1 || !slices.Equal(is.Subjects, []string{"plant.>"}) {
		t.Errorf("the stream was changed: %+v", is)
	}
	for _, setting := range []string{"storage", "max_age", "max_bytes"} {
		if !strings.Contains(log.String(), "setting="+setting) {
			t.Errorf("the log says nothing of %s: %s", setting, log)
		}
	}
}

// Nothing shows a password, whether the server refuses it or is not there.
func TestNATSCredentialsStaySecret(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	c := perdure.Config{
		Streams: map[string]string{"sensors": "nats://user:pa55word@127.0.0.1:1/plant"},
		Logger:  slog.New(slog.NewTextHandler(log, nil)),
	}
	app := perduretest.Start(t, c, sensorParts()...)
	sendReadings(app, "a", 1)
	app.Advance(5 * time.Minute)
	if text := log.String(); strings.Contains(text, "pa55word") || !strings.Contains(text, "waiting=1") {
		t.Errorf("the log: %s", text)
	}
}

// A user with a password gets in, one with a wrong password waits outside.
func TestNATSLogin(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, func(o *natstest.Options) { o.Username, o.Password = "user", "pa55/word" })
	for password, want := range map[string][]int{"pa55%2Fword": {1}, "wr0ng": nil} {
		log := &lockedBuffer{}
		app := perduretest.Start(t, perdure.Config{
			Streams: map[string]string{"sensors": "nats://user:" + password + "@" + server.Host() + "/plant?stream=PLANT"},
			Logger:  slog.New(slog.NewTextHandler(log, nil)),
		}, sensorParts()...)
		sendReadings(app, "a", 1)
		wantSum(t, app, "a", want...)
		if text := log.String(); strings.Contains(text, "pa55") || strings.Contains(text, "wr0ng") {
			t.Errorf("the log: %s", text)
		}
	}
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
