package perdure_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/queue"
	"github.com/perdure/perdure/stream"
)

// controlled is a running app with a client on its socket.
type controlled struct {
	*running
	client *control.Client
}

func (w *world) control(parts ...perdure.Part) *controlled {
	w.t.Helper()
	return &controlled{w.start(parts...), control.NewClient(w.config.Data)}
}

// call sends a request that must succeed.
func (c *controlled) call(method, path string, query url.Values, body, out any) {
	c.w.t.Helper()
	if err := c.client.Do(c.w.t.Context(), method, path, query, body, out); err != nil {
		c.w.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// refused sends a request that must be refused, and returns why.
func (c *controlled) refused(status int, method, path string, query url.Values, body any) string {
	c.w.t.Helper()
	err := c.client.Do(c.w.t.Context(), method, path, query, body, nil)
	var refused *control.RefusedError
	if !errors.As(err, &refused) || refused.Status != status {
		c.w.t.Fatalf("%s %s: %v, want %d", method, path, err, status)
	}
	return refused.Error()
}

var (
	controlledEvent = durable.NewEvent[string]("Go on")
	controlledFlow  = durable.NewOrchestration[string, string]("Flow")
)

func flow(ctx *durable.Context, in string) (string, error) {
	event, err := controlledEvent.Wait(ctx)
	return in + event, err
}

func TestControlInstances(t *testing.T) {
	t.Parallel()
	c := newLasting(t).control(controlledFlow.Impl(flow))
	const id = "../a b/\x1b[31m" // what a path could not hold as it is
	var started control.Started
	for range 2 { // the second is answered by the first
		c.call("POST", "instances", nil, control.Start{Name: "Flow", ID: id, Input: json.RawMessage(`"in "`), Tags: map[string]string{"a": "b"}}, &started)
		if started.ID != id {
			t.Fatalf("started %q", started.ID)
		}
	}
	contains(t, c.refused(409, "POST", "instances", nil, control.Start{Name: "Flow", ID: id, Input: json.RawMessage(`"other"`)}), "exists")
	contains(t, c.refused(404, "POST", "instances", nil, control.Start{Name: "Nothing"}), "Nothing")
	contains(t, c.refused(400, "POST", "instances", nil, map[string]any{"name": "Flow", "colour": 1}), "colour")

	var got control.Instance
	c.call("GET", control.Path("instances", id), nil, nil, &got)
	if got.State != durable.Running || string(got.Input) != `"in "` || got.Tags["a"] != "b" || !got.Created.Equal(noon) {
		t.Errorf("got %+v", got)
	}
	c.call("POST", control.Path("instances", id, "suspend"), nil, control.Control{Reason: "lunch"}, nil)
	c.call("GET", control.Path("instances", id), nil, nil, &got)
	if got.State != durable.Suspended || got.Reason != "lunch" {
		t.Errorf("got %+v", got)
	}
	contains(t, c.refused(409, "DELETE", control.Path("instances", id), nil, nil), "has not ended")
	c.call("POST", control.Path("instances", id, "events", "Go on"), nil, "now", nil)
	c.call("POST", control.Path("instances", id, "resume"), nil, nil, nil)
	c.settle()
	c.call("GET", control.Path("instances", id), nil, nil, &got)
	if got.State != durable.Completed || string(got.Output) != `"in now"` || got.Ended.IsZero() {
		t.Errorf("got %+v", got)
	}
	contains(t, c.refused(409, "POST", control.Path("instances", id, "events", "Go on"), nil, "late"), "ended")

	var history control.Page[control.Event]
	c.call("GET", control.Path("instances", id, "history"), nil, nil, &history)
	kinds := ""
	for _, e := range history.Items {
		kinds += e.Kind + " "
	}
	if kinds != "Started EventAwaited EventRaised Completed " {
		t.Errorf("history %s", kinds)
	}
	var part control.Page[control.Event]
	c.call("GET", control.Path("instances", id, "history"), url.Values{"limit": {"1"}}, nil, &part)
	if part.Next == "" || len(part.Items) == len(history.Items) {
		t.Errorf("a page of %d events of %d, next %q", len(part.Items), len(history.Items), part.Next)
	}

	c.call("DELETE", control.Path("instances", id), nil, nil, nil)
	contains(t, c.refused(404, "GET", control.Path("instances", id), nil, nil), "no such instance")
}

func TestControlEndsInstances(t *testing.T) {
	t.Parallel()
	c := newLasting(t).control(controlledFlow.Impl(flow))
	for _, id := range []string{"a", "b", "c"} {
		c.call("POST", "instances", nil, control.Start{Name: "Flow", ID: id}, nil)
	}
	c.call("POST", "instances/a/terminate", nil, control.Control{Reason: "enough"}, nil)
	c.call("POST", "instances/b/cancel", nil, control.Control{Reason: "no more", Deadline: "10s"}, nil)
	contains(t, c.refused(400, "POST", "instances/c/cancel", nil, control.Control{Deadline: "soon"}), "deadline")
	c.settle()
	var page control.Page[control.Instance]
	c.call("GET", "instances", url.Values{"state": {"Terminated", "Canceled"}}, nil, &page)
	if len(page.Items) != 2 || page.Next != "" {
		t.Errorf("got %+v", page)
	}
	var counts control.Counts
	c.call("GET", "counts", nil, nil, &counts)
	if counts.Instances[durable.Terminated] != 1 || counts.Instances[durable.Canceled] != 1 || counts.Instances[durable.Running] != 1 {
		t.Errorf("got %v", counts)
	}
	var ids []string
	for cursor, more := "", true; more; more = cursor != "" {
		var page control.Page[control.Instance]
		c.call("GET", "instances", url.Values{"limit": {"1"}, "cursor": {cursor}}, nil, &page)
		for _, one := range page.Items {
			ids = append(ids, one.ID)
		}
		cursor = page.Next
	}
	if strings.Join(ids, " ") != "c b a" {
		t.Errorf("pages have %v", ids)
	}
	for _, q := range []url.Values{
		{"cursor": {"!"}}, {"cursor": {"AAAA"}}, {"limit": {"-1"}}, {"limit": {"1000000"}}, {"state": {"Happy"}}, {"colour": {"red"}}, {"from": {"noon"}}, {"tag": {"a"}},
	} {
		c.refused(400, "GET", "instances", q, nil)
	}
	c.refused(404, "GET", "nothing", nil, nil)
	c.refused(405, "PUT", "instances", nil, nil)
}

func TestControlDeadLetters(t *testing.T) {
	t.Parallel()
	mended := false // written while nothing runs
	var order []string
	type event struct {
		ID    string     `path:"id"`
		Event blob.Event `body:""`
	}
	c := newLasting(t).control(documents, perdure.OnBlob(documents, "{id}", func(_ context.Context, in *event) (*struct{}, error) {
		if !mended {
			return nil, perdure.Permanent(errors.New(`file "` + in.ID + `" is empty`))
		}
		order = append(order, in.ID)
		return nil, nil
	}, perdure.FunctionName("read/it"), perdure.Policy{Concurrency: 1}))
	for _, name := range []string{"one", "two", "three"} {
		c.write(name, "secret")
		c.settle()
	}
	var groups control.Page[control.DeadLetterGroup]
	c.call("GET", "deadletters/groups", nil, nil, &groups)
	if len(groups.Items) != 1 || groups.Items[0].Count != 3 || groups.Items[0].Reason != `file "…" is empty` {
		t.Fatalf("groups %+v", groups)
	}
	var page control.Page[control.DeadLetter]
	c.call("GET", "deadletters", url.Values{"function": {"read/it"}, "cause": {"permanent-error"}}, nil, &page)
	if len(page.Items) != 3 || page.Items[0].Event != nil {
		t.Fatalf("got %+v", page)
	}
	first := page.Items[0]
	at := control.Path("deadletters", first.Function, first.ID)
	var letter control.DeadLetter
	c.call("GET", at, nil, nil, &letter)
	if text := string(letter.Event); strings.Contains(text, "one") || !strings.Contains(text, `"name":"string of 3"`) {
		t.Errorf("masked event %s", text)
	}
	c.call("GET", at, url.Values{"reveal": {"true"}}, nil, &letter)
	if text := string(letter.Event); !strings.Contains(text, `"name":"one"`) {
		t.Errorf("event %s", text)
	}

	changed := strings.Replace(string(letter.Event), `"name":"one"`, `"name":"uno"`, 1)
	c.call("PUT", at+"/event", nil, json.RawMessage(changed), nil)
	c.refused(400, "GET", control.Path("deadletters", "read/it", "17"), nil, nil)
	c.refused(404, "GET", control.Path("deadletters", "another", first.ID), nil, nil)
	contains(t, c.refused(400, "POST", "deadletters/resend", nil, control.Selection{}), "all")

	mended = true
	c.call("DELETE", control.Path("deadletters", "read/it", page.Items[1].ID), nil, nil, nil)
	var done control.Handled
	c.call("POST", "deadletters/resend", nil, control.Selection{Function: "read/it", Reason: `file "…" is empty`}, &done)
	c.settle()
	if done.Count != 2 || strings.Join(order, " ") != "uno three" {
		t.Errorf("sent %+v again, handled %v", done, order)
	}
	c.refused(404, "POST", at+"/resend", nil, nil)
	c.call("GET", "deadletters/groups", nil, nil, &groups)
	if len(groups.Items) != 0 {
		t.Errorf("left %+v", groups)
	}
}

func TestControlResources(t *testing.T) {
	t.Parallel()
	c := newLasting(t).control(items, documents,
		perdure.HTTP("GET /x", func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }),
		perdure.OnBlob(documents, "{id}", func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }))
	c.write("a/1", "hello")
	c.write("b", "")
	c.unit(func(ctx context.Context) error {
		return errors.Join(items.Put(ctx, "p/1", &item{Count: 1}), items.Put(ctx, "p/2", &item{Count: 2}), items.Put(ctx, "q", &item{Count: 3}))
	})
	var info control.Info
	c.w.clock.Advance(90 * time.Second)
	c.call("GET", "info", nil, nil, &info)
	if !info.Healthy || info.Uptime != 90 || info.Process != os.Getpid() || info.Data != c.w.config.Data {
		t.Errorf("info %+v", info)
	}
	var functions control.Page[control.Function]
	c.call("GET", "functions", nil, nil, &functions)
	if len(functions.Items) != 2 || functions.Items[0].Trigger != "http" || functions.Items[1].Trigger != "blob" || functions.Items[1].Source != "files/{id}" {
		t.Errorf("functions %+v", functions)
	}
	var tables control.Page[control.Table]
	c.call("GET", "tables", nil, nil, &tables)
	if len(tables.Items) != 1 || tables.Items[0].Name != "items" {
		t.Errorf("tables %+v", tables)
	}
	var row control.Row
	c.call("GET", "tables/items/row", url.Values{"partition": {"p"}, "row": {"2"}}, nil, &row)
	if string(row.Value) != `{"count":2}` {
		t.Errorf("row %+v", row)
	}
	c.refused(404, "GET", "tables/items/row", url.Values{"row": {"2"}}, nil)
	c.refused(404, "GET", "tables/others/rows", nil, nil)
	c.refused(404, "GET", "tables/files/rows", nil, nil)
	c.refused(400, "GET", "tables/items/rows", url.Values{"prefix": {"2"}}, nil)
	c.refused(400, "GET", "tables/items/rows", url.Values{"cursor": {"AAAA"}}, nil)
	var rows control.Page[control.Row]
	c.call("GET", "tables/items/rows", url.Values{"limit": {"2"}}, nil, &rows)
	if len(rows.Items) != 2 || rows.Next == "" || rows.Items[0].Row != "q" {
		t.Errorf("rows %+v", rows)
	}
	c.call("GET", "tables/items/rows", url.Values{"limit": {"2"}, "cursor": {rows.Next}}, nil, &rows)
	if len(rows.Items) != 1 || rows.Items[0].Row != "2" {
		t.Errorf("the rest %+v", rows)
	}
	var blobs control.Page[control.Blob]
	c.call("GET", "blobs/files", url.Values{"limit": {"1"}}, nil, &blobs)
	if len(blobs.Items) != 1 || blobs.Next != "a/1" {
		t.Errorf("blobs %+v", blobs)
	}
	var one control.Blob
	c.call("GET", control.Path("blobs", "files", "a/1"), nil, nil, &one)
	if one.Size != 5 {
		t.Errorf("blob %+v", one)
	}
	c.refused(404, "GET", "blobs/files/c", nil, nil)
	c.refused(404, "GET", "blobs/items", nil, nil)
}

// Only the user can open the socket and read the token; both are gone, or kept, as they
// should be after the app has stopped.
func TestControlFiles(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	app := w.start()
	token := filepath.Join(w.config.Data, control.TokenFile)
	socket := filepath.Join(w.config.Data, control.SocketFile)
	for name, kind := range map[string]fs.FileMode{token: 0, socket: fs.ModeSocket} {
		info, err := os.Lstat(name)
		if err != nil || info.Mode() != kind|0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	app.stop()
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	err := control.NewClient(w.config.Data).Do(t.Context(), "GET", "info", nil, nil, nil)
	if !errors.Is(err, control.ErrNoApp) {
		t.Errorf("got %v, want ErrNoApp", err)
	}
}

func TestControlNeedsTheToken(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	app := w.start(controlledFlow.Impl(flow))
	b, err := os.ReadFile(filepath.Join(w.config.Data, control.TokenFile))
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(b))
	const start = `{"name":"Flow","id":"1"}`
	for name, header := range map[string][]string{
		"without":          {},
		"another":          {"Authorization", "Bearer " + strings.Repeat("0", len(token))},
		"empty":            {"Authorization", "Bearer "},
		"basic":            {"Authorization", "Basic " + token},
		"cookie":           {"Cookie", "token=" + token + "; Authorization=Bearer " + token},
		"a byte too short": {"Authorization", "Bearer " + token[1:]},
	} {
		got := app.do(http.MethodPost, "/perdure/v1/instances", start, append(header, "Host", "example.com")...)
		got.problem(t, http.StatusUnauthorized)
		if !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: %v", name, got.header)
		}
	}
	app.do(http.MethodGet, "/perdure/v1/nothing", "").problem(t, http.StatusUnauthorized)
	if got := app.do(http.MethodPost, "/perdure/v1/instances", start, "Authorization", "bearer "+token); got.status != http.StatusCreated {
		t.Errorf("with the token: %d %s", got.status, got.body)
	}
	if got := app.do(http.MethodGet, "/perdure/v1/instances/1", "", "Authorization", "Bearer "+token, "Host", "evil.example"); got.status != http.StatusMisdirectedRequest {
		t.Errorf("another host: %d", got.status)
	}
}

// What is sent to it is bounded.
func TestControlRefusesHugeBodies(t *testing.T) {
	t.Parallel()
	c := newLasting(t).control(controlledFlow.Impl(flow))
	c.call("POST", "instances", nil, control.Start{Name: "Flow", ID: "1"}, nil)
	huge := strings.Repeat("x", 5<<20)
	c.refused(413, "POST", "instances/1/events/Go%20on", nil, huge)
	c.refused(413, "POST", "instances", nil, control.Start{Name: "Flow", Input: json.RawMessage(`"` + huge + `"`)})
	c.refused(413, "POST", "instances/1/suspend", nil, control.Control{Reason: huge[:100<<10]})
	c.refused(413, "POST", "deadletters/drop", nil, control.Selection{Function: huge[:100<<10]})
}

func TestControlQueues(t *testing.T) {
	t.Parallel()
	type mail struct {
		To string `json:"to"`
	}
	mails := queue.Of[mail]("mails")
	c := newLasting(t).control(mails) // nobody takes them
	c.unit(func(ctx context.Context) error {
		for _, to := range []string{"ann", "bob", "cy"} {
			if err := mails.Send(ctx, mail{to}); err != nil {
				return err
			}
		}
		return nil
	})
	var queues control.Page[control.Queue]
	c.call("GET", "queues", nil, nil, &queues)
	if len(queues.Items) != 1 || queues.Items[0].Depth != 3 || !queues.Items[0].Oldest.Equal(noon) {
		t.Errorf("queues %+v", queues)
	}
	var bodies []string
	for cursor, more := "", true; more; more = cursor != "" {
		var page control.Page[control.Message]
		c.call("GET", "queues/mails/messages", url.Values{"limit": {"2"}, "cursor": {cursor}}, nil, &page)
		for _, m := range page.Items {
			bodies = append(bodies, string(m.Body))
		}
		cursor = page.Next
	}
	if strings.Join(bodies, " ") != `{"to":"string of 3"} {"to":"string of 3"} {"to":"string of 2"}` {
		t.Errorf("messages %s", bodies)
	}
	var page control.Page[control.Message]
	c.call("GET", "queues/mails/messages", url.Values{"reveal": {"true"}, "limit": {"1"}}, nil, &page)
	if string(page.Items[0].Body) != `{"to":"ann"}` {
		t.Errorf("revealed %s", page.Items[0].Body)
	}
	c.refused(404, "GET", "queues/letters/messages", nil, nil)
	c.refused(400, "GET", "queues/mails/messages", url.Values{"cursor": {"!"}}, nil)
	var purged control.Purged
	c.call("DELETE", "queues/mails/messages", nil, nil, &purged)
	c.call("GET", "queues", nil, nil, &queues)
	if purged.Count != 3 || queues.Items[0].Depth != 0 {
		t.Errorf("purged %+v, left %+v", purged, queues)
	}
	c.refused(404, "DELETE", "queues/letters/messages", nil, nil)
}

func TestControlStreams(t *testing.T) {
	t.Parallel()
	names := stream.Of[string]("names", stream.Partitions(2))
	var read []string // written while nothing else runs
	c := newLasting(t).control(perdure.OnStream(names, func(_ context.Context, in *struct {
		Name string `body:""`
	}) (*struct{}, error) {
		read = append(read, in.Name)
		return nil, nil
	}, perdure.FunctionName("count"), perdure.Policy{Concurrency: 1}))
	c.unit(func(ctx context.Context) error { return names.Append(ctx, "a") })
	c.settle()
	c.unit(func(ctx context.Context) error { return names.Append(ctx, "b") })
	c.settle()
	var s control.Stream
	c.call("GET", "streams/names", nil, nil, &s)
	var events, positions uint64
	for i, p := range s.Partitions {
		events += p.Last
		if len(s.Groups) == 1 {
			positions += s.Groups[0].Positions[i]
		}
	}
	if len(s.Partitions) != 2 || len(s.Groups) != 1 || s.Groups[0].Name != "count" || s.Groups[0].Lag != 0 || events != 2 || positions != 2 {
		t.Errorf("stream %+v", s)
	}
	c.call("POST", "streams/names/replay", nil, control.Replay{Group: "count", Position: 1}, nil)
	c.settle()
	if len(read) != 4 {
		t.Errorf("read %q, want all of them twice", read)
	}
	c.call("POST", "streams/names/replay", nil, control.Replay{Group: "count", Time: noon.Add(time.Hour)}, nil)
	c.settle()
	if len(read) != 4 {
		t.Errorf("read %q after a replay from a time to come", read)
	}
	contains(t, c.refused(404, "POST", "streams/names/replay", nil, control.Replay{Group: "nobody"}), "nobody")
	c.refused(404, "POST", "streams/others/replay", nil, control.Replay{Group: "count"})
	c.refused(400, "POST", "streams/names/replay", nil, control.Replay{})
	c.refused(400, "POST", "streams/names/replay", nil, control.Replay{Group: "count", Position: 1, Time: noon})
	c.refused(404, "GET", "streams/others", nil, nil)
}

func TestControlTimers(t *testing.T) {
	t.Parallel()
	c := newLasting(t).control(perdure.OnTimer("nightly", "30 2 * * *", func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }))
	var timers control.Page[control.Timer]
	c.call("GET", "timers", nil, nil, &timers)
	next := time.Date(2026, 3, 5, 2, 30, 0, 0, time.UTC)
	if len(timers.Items) != 1 || timers.Items[0].Function != "timer/nightly" || !timers.Items[0].Next.Equal(next) || !timers.Items[0].Last.IsZero() {
		t.Errorf("timers %+v", timers)
	}
	c.advance(15 * time.Hour)
	c.call("GET", "timers", nil, nil, &timers)
	if !timers.Items[0].Next.Equal(next.AddDate(0, 0, 1)) || !timers.Items[0].Last.Equal(next) {
		t.Errorf("timers after a tick %+v", timers)
	}
	var functions control.Page[control.Function]
	c.call("GET", "functions", nil, nil, &functions)
	if len(functions.Items) != 1 || functions.Items[0].Trigger != "timer" || functions.Items[0].Source != "30 2 * * *" {
		t.Errorf("functions %+v", functions)
	}
}
