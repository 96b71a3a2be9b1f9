package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/failpoint"
)

var (
	yes  = &verdict{Approved: true}
	no   = &verdict{Comment: "no"}
	noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
)

// life is what a file may say of itself, one answer after another.
func life(f *file) (steps []row) {
	r := row{FileID: "id", Name: f.name, Size: int64(f.size), State: awaitingUpload, UploadedAt: noon}
	next := func(change func()) {
		change()
		steps = append(steps, r)
	}
	next(func() {})
	next(func() { r.State, r.UploadDecision = analyzing, yes })
	next(func() {
		r.State, r.AnalyzedAt = awaitingDownload, noon.Add(time.Second)
		r.Metadata = []entry{{Name: "SHA256", Value: f.sum}, {Name: "ContentLength", Value: strconv.Itoa(f.size)}, {Name: "Pages", Value: "1"}}
	})
	next(func() { r.State, r.DownloadDecision = available, yes })
	return steps
}

// told returns a file whose upload and decisions were acknowledged.
func told() (*book, *file) {
	b := newBook(1)
	f := b.add()
	f.id, f.acked = "id", true
	for s := range f.tried {
		f.tried[s] = []attempt{{verdict: *yes, answered: true}}
	}
	return b, f
}

func TestLifeIsAccepted(t *testing.T) {
	t.Parallel()
	b, f := told()
	f.tried = [2][]attempt{} // nothing was decided yet
	for i, r := range life(f) {
		for s := range f.tried {
			if r.decision(stage(s)) != nil {
				f.tried[s] = []attempt{{verdict: *yes, answered: true}}
			}
		}
		if err := f.observe(&r, true); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if err := b.compare([]row{r}); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	if !f.hasEnded() {
		t.Error("it has not ended")
	}
}

// TestLossIsReported shows that each kind of loss is found.
func TestLossIsReported(t *testing.T) {
	t.Parallel()
	const lastStep = 3
	for name, x := range map[string]struct {
		seen   int // the step that was seen before
		change func(f *file, r *row)
		want   string
	}{
		"an upload decision is gone":  {-1, func(_ *file, r *row) { *r = row{FileID: r.FileID, Name: r.Name, Size: r.Size, State: awaitingUpload} }, "decision about the upload is lost"},
		"a download decision is gone": {-1, func(_ *file, r *row) { r.State, r.DownloadDecision = awaitingDownload, nil }, "decision about the download is lost"},
		"another decision":            {-1, func(_ *file, r *row) { r.State, r.DownloadDecision = rejected, no }, "another one is in effect"},
		"a decision of nobody":        {-1, func(f *file, _ *row) { f.tried[forDownload] = nil }, "nobody has sent"},
		"a decision changes": {3, func(f *file, r *row) {
			f.tried[1] = []attempt{{verdict: *yes}, {verdict: *no}}
			r.State, r.DownloadDecision = rejected, no
		}, "it was Available and is Rejected"},
		"a state goes back":            {3, func(f *file, r *row) { f.tried[1] = nil; r.State, r.DownloadDecision = awaitingDownload, nil }, "it was Available"},
		"a state without its decision": {-1, func(f *file, r *row) { f.tried[1] = nil; r.DownloadDecision = nil }, "does not follow"},
		"expired after all":            {-1, func(_ *file, r *row) { r.State = expired }, "does not follow"},
		"failed":                       {-1, func(_ *file, r *row) { r.State, r.Cause = "Failed", "why" }, "why"},
		"other bytes analysed":         {-1, func(_ *file, r *row) { r.Metadata[0].Value = "another" }, "read other bytes"},
		"another result":               {3, func(_ *file, r *row) { r.Metadata[2].Value = "2" }, "result of the analysis has changed"},
		"analysed twice":               {3, func(_ *file, r *row) { r.AnalyzedAt = r.AnalyzedAt.Add(1) }, "analysed again"},
		"uploaded twice":               {3, func(_ *file, r *row) { r.UploadedAt = r.UploadedAt.Add(1) }, "uploaded again"},
		"another size":                 {-1, func(_ *file, r *row) { r.Size++ }, "size"},
		"another id":                   {-1, func(_ *file, r *row) { r.FileID = "other" }, "two ids"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, f := told()
			if x.seen >= 0 {
				if err := f.observe(&life(f)[x.seen], true); err != nil {
					t.Fatal(err)
				}
			}
			r := life(f)[lastStep]
			x.change(f, &r)
			if err := f.observe(&r, true); err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("got %v, want %q", err, x.want)
			}
		})
	}
}

func TestListIsCompared(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		list func(row) []row
		want string
	}{
		"lost":     {func(row) []row { return nil }, "acknowledged and is lost"},
		"twice":    {func(r row) []row { return []row{r, r} }, "there twice"},
		"a ghost":  {func(r row) []row { r.Name = "ghost"; return []row{r} }, "nobody uploaded"},
		"the same": {func(r row) []row { return []row{r} }, ""},
	} {
		b, f := told()
		err := b.compare(x.list(life(f)[3]))
		if (x.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: got %v, want %q", name, err, x.want)
		}
	}
}

// TestObjectsAreCompared plants what a collector must not leave.
func TestObjectsAreCompared(t *testing.T) {
	t.Parallel()
	const one, two = "00000000000000000000000000000001", "00000000000000000000000000000002"
	for name, x := range map[string]struct {
		files []string
		want  string
	}{
		"as named":    {[]string{"lock", one}, ""},
		"an orphan":   {[]string{one, two}, "nothing names"},
		"a remainder": {[]string{one, two + ".tmp"}, "no object"},
		"bytes lost":  {[]string{"lock"}, "1 objects are named, 0 are there"},
	} {
		folder := t.TempDir()
		for _, file := range x.files {
			if err := os.WriteFile(filepath.Join(folder, file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := compareObjects(folder, map[string]bool{one: true})
		if (x.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: got %v, want %q", name, err, x.want)
		}
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for _, kills := range []int{1, 20, 200} {
		rounds := plan(rand.New(rand.NewPCG(1, 1)), kills, "")
		all, met := 0, map[failpoint.Point]int{}
		for _, r := range rounds {
			all += len(r.kills)
			underLoad := 0
			for _, k := range r.kills {
				if k.when != atRest {
					underLoad++
				}
				met[k.point]++
			}
			if underLoad > 2 || len(r.kills) == 0 {
				t.Errorf("a round of %v", r.kills)
			}
		}
		if all != kills {
			t.Errorf("%d kills, want %d", all, kills)
		}
		for _, p := range failpoint.All() {
			if kills == 200 && met[p] < 3 {
				t.Errorf("%s has %d kills of %d", p, met[p], kills)
			}
		}
	}
}

func TestContentIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	kinds := map[string]bool{}
	for i := range 200 {
		f := newFile(rng, i)
		kinds[f.kind] = true
		if a, b := f.bytes(), f.bytes(); string(a) != string(b) || len(a) != f.size {
			t.Fatalf("%s: %d and %d bytes, want %d", f.kind, len(a), len(b), f.size)
		}
	}
	if len(kinds) != 4 {
		t.Errorf("kinds %v", kinds)
	}
}

func TestTroubleInTheLogIsFound(t *testing.T) {
	t.Parallel()
	var o output
	o.Write([]byte("2026/01/02 INFO perdure is ready\n2026/01/02 WARN the process died while this ran\n"))
	if err := o.trouble(); err != nil {
		t.Error(err)
	}
	o.Write([]byte("2026/01/02 WARN event became a dead letter\n"))
	if o.trouble() == nil {
		t.Error("a dead letter is not found")
	}
}
