package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/examples/fileapprover/analysis"
	"github.com/perdure/perdure/internal/clock"
)

func TestMain(m *testing.M) {
	analysis.MaybeChild()
	os.Exit(m.Run())
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// wait is how long the files of tests wait for a decision.
const wait = time.Hour

// site is the file approver under test, at an address, with a time of its own.
type site struct {
	t      *testing.T
	app    *perdure.App
	clock  *clock.Manual
	config perdure.Config
	url    string
	client *http.Client
	limits analysis.Options
}

// newSite starts a file approver that keeps everything in memory.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, clock: clock.NewManual(noon), config: perdure.Config{Store: "memory:"}}
	s.start()
	return s
}

// newLasting starts one that keeps everything in a folder.
func newLasting(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, clock: clock.NewManual(noon), config: perdure.Config{Data: t.TempDir()}}
	s.start()
	return s
}

func (s *site) start() {
	s.t.Helper()
	s.config.Listen, s.config.Logger = "localhost:0", slog.New(slog.DiscardHandler)
	s.config = secured(s.config)
	s.serve(newApp(s.config, approver{wait, analysis.New(s.limits)}))
}

// serve starts an app and stops it when the test ends.
func (s *site) serve(app *perdure.App) {
	s.t.Helper()
	if err := app.Start(clock.With(s.t.Context(), s.clock)); err != nil {
		s.t.Fatal(err)
	}
	transport := &http.Transport{}
	s.app, s.url, s.client = app, "http://"+app.Addr().String(), &http.Client{Transport: transport}
	s.t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = app.Stop(context.Background())
	})
}

func (s *site) restart() {
	s.t.Helper()
	s.client.CloseIdleConnections()
	if err := s.app.Stop(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.start()
}

// answer is an HTTP answer that was read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request, as the actor of the path. A header "Host" is the request's host.
func (s *site) send(method, target string, body io.Reader, header ...string) (answer, error) {
	if who := actor(strings.TrimPrefix(target, s.url)); who != "" && !slices.Contains(header, "Authorization") {
		header = append(header, "Authorization", "Bearer "+who)
	}
	if strings.HasPrefix(target, "/") {
		target = s.url + target
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, target, body)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	res, err := s.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(text)}, err
}

// do sends a request that must be answered.
func (s *site) do(method, target, body string, header ...string) answer {
	s.t.Helper()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	a, err := s.send(method, target, from, header...)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

func (s *site) get(target string, header ...string) answer {
	s.t.Helper()
	return s.do("GET", target, "", header...)
}

// decide posts a decision in JSON; none for the empty text.
func (s *site) decide(path, decision string) answer {
	s.t.Helper()
	if decision == "" {
		return s.do("POST", path, "")
	}
	return s.do("POST", path, decision, "Content-Type", "application/json")
}

// problem checks that an answer is a problem and returns its detail.
func (a answer) problem(t *testing.T, status int) string {
	t.Helper()
	var p struct {
		Status        int
		Title, Detail string
	}
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("got %d %s %.300s, want a problem with %d", a.status, a.header.Get("Content-Type"), a.body, status)
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Status != status || p.Title == "" || p.Detail == "" {
		t.Errorf("problem %s, %v", a.body, err)
	}
	return p.Detail
}

// into decodes an answer of JSON.
func (a answer) into(t *testing.T, status int, v any) {
	t.Helper()
	if a.status != status || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s %.300s, want JSON with %d", a.status, a.header.Get("Content-Type"), a.body, status)
	}
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

// added checks the answer to an upload and returns the file's id.
func (s *site) added(a answer) string {
	s.t.Helper()
	var doc map[string]string
	a.into(s.t, http.StatusCreated, &doc)
	id := doc["fileId"]
	if id == "" || len(doc) != 1 || a.header.Get("Location") != "/api/file/"+id {
		s.t.Fatalf("answer %s with Location %q", a.body, a.header.Get("Location"))
	}
	return id
}

// upload uploads a raw body.
func (s *site) upload(content string) string {
	s.t.Helper()
	return s.added(s.do("POST", "/api/file/add", content))
}

// form returns a multipart form with one file and its media type.
func form(t *testing.T, field, name, content string) (body, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile(field, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(part, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

// file returns what is told about a file.
func (s *site) file(id string) (f File) {
	s.t.Helper()
	s.get("/api/file/"+id).into(s.t, http.StatusOK, &f)
	return f
}

// state waits until a file is in a state.
func (s *site) state(id string, want State) File {
	s.t.Helper()
	var f File
	s.waitFor(func() bool {
		f = s.file(id)
		return f.State == want
	}, func() string { return fmt.Sprintf("file is %s (%s), want %s", f.State, f.Cause, want) })
	return f
}

// stateInTime is state with a time that goes on meanwhile.
func (s *site) stateInTime(id string, want State) File {
	s.t.Helper()
	var f File
	s.waitFor(func() bool {
		if f = s.file(id); f.State == want {
			return true
		}
		s.clock.Advance(time.Second)
		return false
	}, func() string { return fmt.Sprintf("file is %s (%s), want %s", f.State, f.Cause, want) })
	return f
}

// waitFor waits for what the site does in the background.
func (s *site) waitFor(cond func() bool, failure func() string) {
	s.t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			s.t.Fatal(failure())
		}
	}
}

// output waits until the process of a file has been started and has ended, and returns
// its output.
func (s *site) output(id string) State {
	s.t.Helper()
	s.waitFor(func() bool {
		_, err := s.app.Durable().Get(s.t.Context(), id)
		return err == nil
	}, func() string { return "the process was not started" })
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	out, err := ProcessFile.WaitWith(ctx, s.app.Durable(), id)
	if err != nil {
		s.t.Fatalf("process of %s: %v", id, err)
	}
	return out
}

// waiting waits until the process of a file has been started.
func (s *site) waiting(id string) {
	s.t.Helper()
	s.waitFor(func() bool {
		in, err := s.app.Durable().Get(s.t.Context(), id)
		return err == nil && in.State == durable.Running
	}, func() string { return "the process was not started" })
}

// available brings a file to where it can be downloaded.
func (s *site) available(content string) string {
	s.t.Helper()
	id := s.upload(content)
	s.decide("/api/approve/"+id, "")
	s.state(id, AwaitingDownloadApproval)
	s.decide("/api/approve/download/"+id, "")
	return id
}

type links struct {
	FileID      string
	Metadata    []analysis.Entry
	DownloadURL string
	ExpiresAt   time.Time
}

func (s *site) download(id string, header ...string) (d links) {
	s.t.Helper()
	s.get("/api/download/"+id, header...).into(s.t, http.StatusOK, &d)
	return d
}

func values(entries []analysis.Entry) map[string]string {
	all := map[string]string{}
	for _, e := range entries {
		all[e.Name] = e.Value
	}
	return all
}

// picture returns a small PNG.
func picture(t *testing.T, width, height int) string {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for x := range width {
		for y := range height {
			img.Set(x, y, color.RGBA{uint8(x), 90, uint8(y), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
