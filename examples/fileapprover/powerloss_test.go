package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/examples/fileapprover/analysis"
	"github.com/perdure/perdure/test/powerloss"
)

// promise is what the program has acknowledged about a file up to a moment.
type promise struct {
	id, name, content string
	upload, download  string // what was decided: "yes", "no" or nothing
}

// plugged is a site on a disk that loses power. It keeps its promises in a list.
type plugged struct {
	*site
	log      *bytes.Buffer
	disk     *powerloss.Disk
	promises []promise
}

// startOn starts the file approver on the disk that is plugged in now.
func startOn(t *testing.T, root string) *plugged {
	t.Helper()
	p := &plugged{site: &site{t: t, client: &http.Client{Transport: &http.Transport{}}}, log: &bytes.Buffer{}}
	config := perdure.Config{
		Data: filepath.Join(root, "data"), Listen: "localhost:0",
		Logger: slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	p.app = newApp(secured(config), approver{wait, analysis.New(analysis.Options{})})
	if err := p.app.Start(t.Context()); err != nil {
		t.Fatalf("the program does not start: %v", err)
	}
	p.url = "http://" + p.app.Addr().String()
	return p
}

// stop stops it; nothing may have gone wrong that the log knows of.
func (p *plugged) stop() {
	p.t.Helper()
	p.client.CloseIdleConnections()
	if err := p.app.Stop(p.t.Context()); err != nil {
		p.t.Error(err)
	}
	if p.log.Len() > 0 {
		p.t.Errorf("the program wrote: %s", p.log)
	}
}

// promised notes what has just been acknowledged.
func (p *plugged) promised(x promise) {
	p.promises = append(p.promises, x)
	p.disk.Promise()
}

func (p *plugged) add(name, content string) promise {
	p.t.Helper()
	a := p.do("POST", "/api/file/add", content, "Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	x := promise{id: p.added(a), name: name, content: content}
	p.promised(x)
	return x
}

func (p *plugged) decideUpload(x promise, approved string) promise {
	p.t.Helper()
	p.mustDecide("/api/approve/"+x.id, approved)
	x.upload = approved
	p.promised(x)
	return x
}

func (p *plugged) decideDownload(x promise, approved string) promise {
	p.t.Helper()
	p.state(x.id, AwaitingDownloadApproval)
	p.mustDecide("/api/approve/download/"+x.id, approved)
	x.download = approved
	p.promised(x)
	return x
}

func (p *plugged) mustDecide(path, approved string) {
	p.t.Helper()
	a := p.decide(path, fmt.Sprintf(`{"approved": %t}`, approved == "yes"))
	if a.status != http.StatusAccepted {
		p.t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
}

// TestPowerLoss takes the power from the whole program at every moment of a few files'
// lives. It must start on what is left, have kept every promise, and bring every file
// to its end.
func TestPowerLoss(t *testing.T) { // not in parallel: it changes the disk of the process
	root := filepath.Join(t.TempDir(), "machine")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	disk := powerloss.NewDisk(root)
	t.Cleanup(disk.Unplug)
	p := startOn(t, root)
	p.disk = disk

	early := p.decideUpload(p.add("early", "approved at once"), "yes")
	refused := p.decideUpload(p.add("refused", "nobody wants it"), "no")
	image := p.decideUpload(p.add("image", picture(t, 40, 20)), "yes")
	p.add("waiting", "for its first decision")
	p.decideDownload(early, "yes")
	p.decideDownload(image, "no")
	p.add("empty", "")
	p.state(refused.id, Rejected)
	p.stop()

	most := disk.Len()
	switch {
	case testing.Short():
		most = 8
	case raceEnabled:
		most = 30
	}
	contents := map[string]string{}
	for _, x := range p.promises {
		contents[x.name] = x.content
	}
	t.Logf("%d of %d cuts, %d promises", most, disk.Len(), len(p.promises))
	n := 0
	for cut := range disk.Cuts(most) {
		n++
		well := t.Run(fmt.Sprint(cut.Number), func(t *testing.T) {
			if err := cut.Restore(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if t.Failed() {
					t.Log(cut)
				}
			}()
			after := startOn(t, root)
			after.kept(p.promises[:cut.Promises])
			after.toTheEnd(contents)
			after.stop()
		})
		if !well {
			t.FailNow() // the other cuts would say the same, slowly
		}
	}
	if n != most || disk.Len() < 100 {
		t.Errorf("%d cuts were checked, of %d", n, disk.Len())
	}
}

// kept checks that each promise is kept.
func (p *plugged) kept(all []promise) {
	p.t.Helper()
	for _, x := range all {
		f := p.file(x.id)
		if f.Name != x.name || f.Size != int64(len(x.content)) {
			p.t.Errorf("%s: %+v", x.name, f)
		}
		for _, d := range []struct {
			promised string
			got      *Decision
		}{{x.upload, f.UploadDecision}, {x.download, f.DownloadDecision}} {
			if d.promised != "" && (d.got == nil || d.got.Approved != (d.promised == "yes")) {
				p.t.Errorf("%s: decision %+v, acknowledged was %q", x.name, d.got, d.promised)
			}
		}
	}
}

// toTheEnd makes every decision that is open, and checks the files' ends.
func (p *plugged) toTheEnd(contents map[string]string) {
	p.t.Helper()
	var list struct{ Files []File }
	p.get("/api/files").into(p.t, http.StatusOK, &list)
	seen := map[string]bool{}
	for _, f := range list.Files {
		if seen[f.Name] {
			p.t.Errorf("%s is there twice", f.Name)
		}
		seen[f.Name] = true
		content, known := contents[f.Name]
		if !known || f.Size != int64(len(content)) {
			p.t.Errorf("unknown file %+v", f)
		}
		if f.State == AwaitingUploadApproval {
			p.mustDecide("/api/approve/"+f.FileID, "yes")
		}
		if f = p.file(f.FileID); f.State == Analyzing || f.State == AwaitingDownloadApproval {
			p.state(f.FileID, AwaitingDownloadApproval)
			p.mustDecide("/api/approve/download/"+f.FileID, "yes")
			f = p.file(f.FileID)
		}
		if out := p.output(f.FileID); out != f.State {
			p.t.Errorf("%s is %s, its process ended as %s", f.Name, f.State, out)
		}
		switch f.State {
		case Available:
			d := p.download(f.FileID)
			if got := p.get(d.DownloadURL); got.status != http.StatusOK || got.body != content {
				p.t.Errorf("%s: %d, %d bytes of %d", f.Name, got.status, len(got.body), len(content))
			}
		case Rejected:
			p.get("/api/download/"+f.FileID).problem(p.t, http.StatusForbidden)
		default:
			p.t.Errorf("%s is %s", f.Name, f.State)
		}
	}
}
