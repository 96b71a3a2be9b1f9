package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/examples/fileapprover/analysis"
	"github.com/perdure/perdure/identity"
)

// The times of a file's life, each when it happened.
func TestLifeOfAFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.upload("hello")
	s.waiting(id)
	s.clock.Advance(time.Minute)
	s.decide("/api/approve/"+id, `{"comment":"go on"}`)
	f := s.state(id, AwaitingDownloadApproval)
	if !f.UploadedAt.Equal(noon) || !f.UploadDecidedAt.Equal(noon.Add(time.Minute)) || f.AnalyzedAt.Before(noon.Add(time.Minute)) ||
		!f.UploadDecision.Approved || f.UploadDecision.Comment != "go on" || !f.DownloadDecidedAt.IsZero() || f.InstanceID != id {
		t.Errorf("file %+v", f)
	}
	s.clock.Advance(time.Minute)
	s.decide("/api/approve/download/"+id, "")
	f = s.state(id, Available)
	if !f.DownloadDecidedAt.Equal(noon.Add(2*time.Minute)) || !f.ClosedAt.IsZero() || f.ContentType == "" {
		t.Errorf("file %+v", f)
	}
	if out := s.output(id); out != Available {
		t.Errorf("the process ended with %s", out)
	}
}

func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	s := newLasting(t)
	upload := s.upload("nobody decides about the upload")
	s.waiting(upload)
	download := s.upload("nobody decides about the download")
	s.decide("/api/approve/"+download, "")
	s.state(download, AwaitingDownloadApproval)
	s.clock.Advance(wait - time.Minute)
	for _, id := range []string{upload, download} {
		if f := s.file(id); f.State == Expired {
			t.Errorf("expired too early: %+v", f)
		}
	}
	s.clock.Advance(time.Minute)
	for _, id := range []string{upload, download} {
		f := s.stateInTime(id, Expired)
		if !strings.Contains(f.Cause, "nobody decided within 1h0m0s") || f.ClosedAt.Before(noon.Add(wait)) {
			t.Errorf("file %+v", f)
		}
		s.get("/api/download/"+id).problem(t, http.StatusForbidden)
		s.decide("/api/approve/download/"+id, "").problem(t, http.StatusConflict)
		if out := s.output(id); out != Expired {
			t.Errorf("the process ended with %s", out)
		}
	}
	s.decide("/api/approve/"+upload, "").problem(t, http.StatusConflict)
	s.decide("/api/approve/"+upload, `{"approved":false}`).problem(t, http.StatusConflict)
	s.waitFor(func() bool { return s.bytesOnDisk() == 0 }, func() string { return "the bytes of expired files are left" })
}

// The time that a file waits may be configured anew while it does.
func TestWaitingSurvivesARestartWithAnotherWait(t *testing.T) {
	t.Parallel()
	s := newLasting(t)
	id := s.upload("hello")
	s.waiting(id)
	if err := s.app.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.serve(newApp(s.config, approver{3 * wait, analysis.New(analysis.Options{})}))
	s.decide("/api/approve/"+id, "")
	s.state(id, AwaitingDownloadApproval)
	s.clock.Advance(2 * wait)
	s.decide("/api/approve/download/"+id, "")
	s.state(id, Available)
	if out := s.output(id); out != Available {
		t.Errorf("the process ended with %s", out)
	}
}

// An analysis that cannot be done is tried again, then the file has failed.
func TestAnalysisThatFails(t *testing.T) {
	t.Parallel()
	s := newLasting(t)
	s.client.CloseIdleConnections()
	if err := s.app.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.limits.Dir = filepath.Join(t.TempDir(), "none")
	s.start()
	id := s.upload("hello")
	s.decide("/api/approve/"+id, "")
	f := s.stateInTime(id, Failed)
	if !strings.Contains(f.Cause, "stage file for analysis") || !strings.Contains(f.Cause, "5 attempts") || f.ClosedAt.IsZero() {
		t.Errorf("file %+v", f)
	}
	if out := s.output(id); out != Failed {
		t.Errorf("the process ended with %s", out)
	}
	s.decide("/api/approve/download/"+id, "").problem(t, http.StatusConflict)
	s.decide("/api/approve/"+id, `{"approved":false}`).problem(t, http.StatusConflict)
	s.get("/api/download/"+id).problem(t, http.StatusForbidden)
	s.waitFor(func() bool { return s.bytesOnDisk() == 0 }, func() string { return "the bytes of a failed file are left" })
}

// Of a person and the end of the waiting that come at the same moment one wins, and
// everybody says the same.
func TestDecisionAtTheLastMoment(t *testing.T) {
	t.Parallel()
	s := newLasting(t)
	// race moves the time to the end of the waiting while the second half decides.
	race := func(ids []string, path string) (late map[string]bool) {
		t.Helper()
		s.clock.Advance(wait - 2*time.Second)
		late = map[string]bool{}
		answered, end := make(chan struct{}, len(ids)), make(chan struct{})
		var mu sync.Mutex
		var all sync.WaitGroup
		for i, id := range ids {
			all.Go(func() {
				if i >= len(ids)/2 {
					<-end
				}
				a, err := s.send("POST", path+id, nil)
				answered <- struct{}{}
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					t.Error(err)
				case a.status == http.StatusAccepted:
				case a.status == http.StatusConflict:
					late[id] = true
				default:
					t.Errorf("got %+v", a)
				}
			})
		}
		for range len(ids) / 4 {
			<-answered
		}
		close(end)
		s.clock.Advance(2 * time.Second)
		all.Wait()
		return late
	}
	var ids []string
	for range 12 {
		id := s.upload("hello")
		s.waiting(id)
		ids = append(ids, id)
	}
	late := race(ids, "/api/approve/")
	var left []string
	for _, id := range ids {
		if late[id] {
			s.state(id, Expired)
		} else {
			s.stateInTime(id, AwaitingDownloadApproval)
			left = append(left, id)
		}
	}
	t.Logf("uploads: %d of %d decisions were late", len(late), len(ids))
	late = race(left, "/api/approve/download/")
	t.Logf("downloads: %d of %d decisions were late", len(late), len(left))
	for _, id := range ids {
		want := Expired
		if slices.Contains(left, id) && !late[id] {
			want = Available
		}
		if f := s.file(id); f.State != want {
			t.Errorf("file is %s, want %s", f.State, want)
		}
		if out := s.output(id); out != want {
			t.Errorf("the process ended with %s, want %s", out, want)
		}
	}
}

// A decision that was taken before the process heard of the end of the waiting stands.
func TestDecisionBeforeTheProcessKnowsOfTheEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.upload("hello")
	s.waiting(id)
	for _, stage := range []struct {
		path string
		next State
	}{{"/api/approve/", AwaitingDownloadApproval}, {"/api/approve/download/", Available}} {
		if err := s.app.Durable().Suspend(t.Context(), id, "the process is busy"); err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(wait)
		s.clock.Advance(time.Second)
		if a := s.decide(stage.path+id, ""); a.status != http.StatusAccepted {
			t.Fatalf("decision: %+v", a)
		}
		if err := s.app.Durable().Resume(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		s.stateInTime(id, stage.next)
	}
	if out := s.output(id); out != Available {
		t.Errorf("the process ended with %s", out)
	}
	if f := s.file(id); f.State != Available {
		t.Errorf("file %+v", f)
	}
}

func TestManyFilesAtATime(t *testing.T) {
	t.Parallel()
	s := newLasting(t)
	count := 50
	if testing.Short() {
		count = 10
	}
	var all sync.WaitGroup
	for i := range count {
		all.Go(func() {
			content := fmt.Sprint("file number ", i)
			a, err := s.send("POST", "/api/file/add", strings.NewReader(content))
			if err != nil || a.status != http.StatusCreated {
				t.Errorf("upload: %+v, %v", a, err)
				return
			}
			id := strings.TrimPrefix(a.header.Get("Location"), "/api/file/")
			if a, err := s.send("POST", "/api/approve/"+id, nil); err != nil || a.status != http.StatusAccepted {
				t.Errorf("approve: %+v, %v", a, err)
			}
			if i >= 10 { // an analysis takes a while
				return
			}
			s.state(id, AwaitingDownloadApproval)
			if a, err := s.send("POST", "/api/approve/download/"+id, nil); err != nil || a.status != http.StatusAccepted {
				t.Errorf("approve download: %+v, %v", a, err)
			}
			d := s.download(id)
			if got := s.get(d.DownloadURL); got.body != content || values(d.Metadata)["ContentLength"] != fmt.Sprint(len(content)) {
				t.Errorf("file %d: %+v, %v", i, got, d.Metadata)
			}
		})
	}
	all.Wait()
}

// A restart in the middle changes nothing for anybody.
func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	s := newLasting(t)
	waits := s.upload("waits for the upload's approval")
	s.waiting(waits)
	analyzed := s.upload("waits for the download's approval")
	s.decide("/api/approve/"+analyzed, "")
	s.state(analyzed, AwaitingDownloadApproval)
	done := s.available("is available")
	s.restart()
	for id, want := range map[string]State{waits: AwaitingUploadApproval, analyzed: AwaitingDownloadApproval, done: Available} {
		if f := s.file(id); f.State != want {
			t.Errorf("file is %s, want %s", f.State, want)
		}
	}
	s.decide("/api/approve/"+waits, "")
	s.state(waits, AwaitingDownloadApproval)
	for _, id := range []string{waits, analyzed} {
		s.decide("/api/approve/download/"+id, "")
		if out := s.output(id); out != Available {
			t.Errorf("the process ended with %s", out)
		}
	}
}

// The program takes its address and its folder from the environment.
func TestRunReadsTheEnvironment(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	folder := t.TempDir()
	t.Setenv("PERDURE_LISTEN", address)
	t.Setenv("PERDURE_DATA", folder)
	t.Setenv("FILEAPPROVER_WAIT", "30m")
	t.Setenv("FILEAPPROVER_DEMO", "1")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	s := &site{t: t, url: "http://" + address, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	s.waitFor(func() bool {
		a, err := s.send("GET", "/healthz", nil)
		return err == nil && a.status == 200
	}, func() string { return "the program is not ready" })
	var accounts identity.DemoAccounts
	written, err := os.ReadFile(filepath.Join(folder, identity.DemoFile))
	if err := errors.Join(err, json.Unmarshal(written, &accounts)); err != nil {
		t.Fatal(err)
	}
	s.added(s.do("POST", "/api/file/add", "hello", "Authorization", "Bearer "+accounts.Users[0].AccessToken))
	if made, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(made) == 0 {
		t.Errorf("the folder has %v, %v", made, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"soon", "-1h", "0"} {
		t.Setenv("FILEAPPROVER_WAIT", bad)
		if err := run(ctx); err == nil || !strings.Contains(err.Error(), "FILEAPPROVER_WAIT") {
			t.Errorf("FILEAPPROVER_WAIT=%s: %v", bad, err)
		}
	}
}
