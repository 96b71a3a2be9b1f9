package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/examples/fileapprover/analysis"
)

func TestDecisions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for body, approved := range map[string]bool{
		"": true, "{}": true, `{"comment":"fine"}`: true, `{"approved":true}`: true, `{"approved":null}`: true,
		`{"approved":false}`: false, `{"approved":false,"comment":"no"}`: false,
	} {
		id := s.upload("hello")
		path := "/api/approve/" + id
		first := s.decide(path, body)
		var doc struct {
			FileID, Comment string
			Approved        bool
		}
		if first.into(t, http.StatusAccepted, &doc); doc.FileID != id || doc.Approved != approved {
			t.Errorf("%q: %s", body, first.body)
		}
		if approved {
			s.state(id, AwaitingDownloadApproval)
		} else {
			s.state(id, Rejected)
		}
		again := s.decide(path, body)
		if again.status != first.status || again.body != first.body {
			t.Errorf("%q: the repetition is answered %+v, not %+v", body, again, first)
		}
		s.decide(path, fmt.Sprintf(`{"approved":%v}`, !approved)).problem(t, http.StatusConflict)
		if !approved {
			s.decide("/api/approve/download/"+id, "").problem(t, http.StatusConflict)
		}
	}
}

func TestMalformedDecisionChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.upload("hello")
	for _, body := range []string{"{", "[]", `"yes"`, `{"approved":"yes"}`, `{"approved":1}`, `{"comment":7}`, `{"approved":true} {}`} {
		s.decide("/api/approve/"+id, body).problem(t, http.StatusBadRequest)
	}
	// A misspelt no must not count as nothing said, which means yes.
	misspelt := s.decide("/api/approve/"+id, `{"approve":false}`)
	misspelt.problem(t, http.StatusBadRequest)
	if !strings.Contains(misspelt.body, `"name":"approve"`) {
		t.Errorf("the answer does not name the member: %s", misspelt.body)
	}
	s.do("POST", "/api/approve/"+id, `{"approved":false}`, "Content-Type", "text/plain").problem(t, http.StatusUnsupportedMediaType)
	s.decide("/api/approve/"+id, `{"comment":"`+strings.Repeat("x", 1<<20)+`"}`).problem(t, http.StatusRequestEntityTooLarge)
	if f := s.file(id); f.State != AwaitingUploadApproval || f.UploadDecision != nil {
		t.Errorf("file %+v", f)
	}
}

func TestDownloadIsDecidedAfterTheAnalysis(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.upload("hello")
	s.decide("/api/approve/download/"+id, "").problem(t, http.StatusConflict)
	s.decide("/api/approve/"+id, "")
	s.state(id, AwaitingDownloadApproval)
	first := s.decide("/api/approve/download/"+id, `{"comment":"fine"}`)
	again := s.decide("/api/approve/download/"+id, "")
	if first.status != http.StatusAccepted || again.status != first.status || again.body != first.body {
		t.Errorf("first %+v, again %+v", first, again)
	}
	s.decide("/api/approve/download/"+id, `{"approved":false}`).problem(t, http.StatusConflict)
	if f := s.file(id); f.State != Available || f.DownloadDecision.Comment != "fine" || !f.DownloadDecidedAt.Equal(noon) {
		t.Errorf("file %+v", f)
	}
	if out := s.output(id); out != Available {
		t.Errorf("the process ended with %s", out)
	}
	if again := s.decide("/api/approve/"+id, ""); again.status != http.StatusAccepted {
		t.Errorf("the upload's decision, repeated at the end: %+v", again)
	}
}

// A decision that comes before the blob's trigger has run waits for the process.
func TestDecisionBeforeTheTriggerIsNotLost(t *testing.T) {
	t.Parallel()
	for decision, want := range map[string]State{"": AwaitingDownloadApproval, `{"approved":false}`: Rejected} {
		s := newSite(t)
		gate := make(chan struct{})
		a := approver{wait, analysis.New(analysis.Options{})}
		app := perdure.New(s.config)
		app.Add(
			Files, Thumbnails, Metadata,
			perdure.HTTP("POST /api/file/add", addFile),
			perdure.HTTP("GET /api/file/{fileId}", getFile),
			perdure.HTTP("POST /api/approve/{fileId}", approveUpload),
			perdure.OnBlob(Files, "{fileId}", func(ctx context.Context, in *startIn) (*struct{}, error) {
				<-gate
				return startProcess(ctx, in)
			}),
			ProcessFile.Impl(a.processFile), AnalyzeFile.Impl(a.analyzeFile), Close.Impl(closeFile),
		)
		s.serve(app)
		id := s.upload("hello")
		if a := s.decide("/api/approve/"+id, decision); a.status != http.StatusAccepted {
			t.Fatalf("decision: %+v", a)
		}
		if _, err := app.Durable().Get(t.Context(), id); err == nil {
			t.Fatal("the process runs already")
		}
		close(gate)
		s.state(id, want)
		if want == Rejected && s.output(id) != Rejected {
			t.Errorf("the process ended with %s", s.output(id))
		}
	}
}

// The same without a gate, as often as it takes to hit the moment.
func TestDecisionRightAfterTheUploadIsNotLost(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	for range rounds {
		id := s.upload("hello")
		s.decide("/api/approve/"+id, `{"approved":false}`)
		if out := s.output(id); out != Rejected {
			t.Fatalf("the process ended with %s", out)
		}
	}
}

// Of two people who contradict each other at the same moment one wins, for everybody.
func TestContradictingDecisions(t *testing.T) {
	t.Parallel()
	s := newLasting(t)
	race := func(path string) (approved bool) {
		t.Helper()
		answers := make([]answer, 2)
		var both sync.WaitGroup
		for i, decision := range []string{`{"approved":true}`, `{"approved":false}`} {
			both.Go(func() {
				a, err := s.send("POST", path, strings.NewReader(decision), "Content-Type", "application/json")
				if err != nil {
					t.Error(err)
				}
				answers[i] = a
			})
		}
		both.Wait()
		yes, no := answers[0].status, answers[1].status
		if yes+no != http.StatusAccepted+http.StatusConflict || yes == no {
			t.Fatalf("answers %+v", answers)
		}
		return yes == http.StatusAccepted
	}
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		id := s.upload("hello")
		want := Rejected
		if race("/api/approve/" + id) {
			s.state(id, AwaitingDownloadApproval)
			if race("/api/approve/download/" + id) {
				want = Available
			}
		}
		if f := s.file(id); f.State != want || (want == Available) != (s.get("/api/download/"+id).status == 200) {
			t.Errorf("file is %s, want %s", f.State, want)
		}
		if out := s.output(id); out != want {
			t.Errorf("the process ended with %s, want %s", out, want)
		}
	}
}

// Where an operator has ended a process, a decision has nobody to go to.
func TestDecisionAboutATerminatedProcess(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.upload("hello")
	s.waiting(id)
	if err := s.app.Durable().Terminate(t.Context(), id, "by hand"); err != nil {
		t.Fatal(err)
	}
	s.decide("/api/approve/"+id, "").problem(t, http.StatusConflict)
	if f := s.file(id); f.UploadDecision != nil {
		t.Errorf("half of the decision was taken: %+v", f)
	}
}
