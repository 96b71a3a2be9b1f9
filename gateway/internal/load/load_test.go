package load_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/entitytest"
	"github.com/perdure/perdure/gateway/internal/load"
	"github.com/perdure/perdure/internal/clock"
)

const kongFile = `_format_version: "3.0"
services:
- name: a
  host: 127.0.0.1
  routes:
  - name: a
    paths: [/a]
    plugins:
    - {name: request-termination}
`

const manifests = `apiVersion: v1
kind: Service
metadata: {name: b, annotations: {perdure.dev/url: "http://127.0.0.1:9000"}}
spec: {ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: b}
spec:
  ingressClassName: kong
  defaultBackend: {service: {name: b, port: {number: 80}}}
`

// write puts files into a folder.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// touch sets when a file was changed.
func touch(t *testing.T, path string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func TestLoadFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"kong.yml": kongFile, "k8s/deep/b.yaml": manifests, "k8s/empty.yaml": "# nothing\n", "README.md": "not read",
		".hidden.yml": "[", ".git/x.yml": "[", "..data/real.yml": strings.ReplaceAll(kongFile, " a\n", " c\n"),
	})
	if err := os.Symlink(filepath.Join("..data", "real.yml"), filepath.Join(dir, "mounted.yml")); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_600_000_000, 0)
	touch(t, filepath.Join(dir, "kong.yml"), at)
	result := load.Source{Paths: []string{dir, filepath.Join(dir, "kong.yml")}}.Load()
	if result.Config == nil {
		t.Fatal(entitytest.Problems(result.Problems))
	}
	for _, name := range []string{"a", "c", "default.b"} {
		if result.Config.Lookup(entity.Routes, name) == nil {
			t.Errorf("no route %q", name)
		}
	}
	if n := len(result.Files); n != 4 {
		t.Errorf("read %d files: %v", n, result.Files)
	}
	if got := entity.MetaOf(result.Config.Lookup(entity.Services, "a")).CreatedAt; got != at.Unix() {
		t.Errorf("created_at %d, want when the file was changed", got)
	}
}

func TestLoadProblems(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"a.yml": kongFile, "b.yml": kongFile, "c.json": `{"name": "some package"}`, "d.yaml": "a: [\n", "e.yml": " \n",
	})
	result := load.Source{Paths: []string{dir, filepath.Join(dir, "absent")}}.Load()
	got := strings.ReplaceAll(entitytest.Problems(result.Problems), dir, "DIR")
	want := `DIR/absent: error: cannot be read: no such file or directory
DIR/b.yml:3: error: service "a": the name is taken by service "a" at DIR/a.yml:3
DIR/b.yml:6: error: route "a": the name is taken by route "a" at DIR/a.yml:6
DIR/b.yml:9: error: plugin "request-termination": the plugin for the same route, service and consumer is taken by plugin "request-termination" at DIR/a.yml:9
DIR/c.json:1: error: is neither in Kong's format, which begins with _format_version: "3.0", nor a Kubernetes manifest, which has apiVersion and kind
DIR/d.yaml:1: error: is no YAML: did not find expected node content
DIR/e.yml: error: is empty, as a file that is just being written: if nothing is meant to be in it, say so in a comment
`
	if got != want || result.Config != nil {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// watched is a watcher of a folder with one file.
func watched(t *testing.T) (w *load.Watcher, put func(text string), changed, failed *[]load.Result) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{"kong.yml": kongFile})
	changed, failed = new([]load.Result), new([]load.Result)
	w = &load.Watcher{
		Source:  load.Source{Paths: []string{dir}},
		Changed: func(r load.Result) { *changed = append(*changed, r) },
		Failed:  func(r load.Result) { *failed = append(*failed, r) },
	}
	if first := w.Begin(); first.Config == nil {
		t.Fatal(entitytest.Problems(first.Problems))
	}
	path, n := filepath.Join(dir, "kong.yml"), 0
	return w, func(text string) {
		write(t, dir, map[string]string{"kong.yml": text})
		n++
		touch(t, path, time.Unix(1_700_000_000+int64(n), 0)) // a file system may know seconds alone
	}, changed, failed
}

func TestWatcherKeepsTheOld(t *testing.T) {
	t.Parallel()
	w, put, changed, failed := watched(t)
	polls := func(n int) {
		for range n {
			w.Poll()
		}
	}
	polls(3)
	if len(*changed)+len(*failed) != 0 {
		t.Fatal("changed without a change")
	}
	put(strings.Replace(kongFile, "/a]", "/b]", 1))
	polls(1)
	if len(*changed) != 0 {
		t.Error("read while it may be being written")
	}
	polls(3)
	if len(*changed) != 1 || (*changed)[0].Config.Routes[0].Paths[0] != "/b" {
		t.Fatalf("%d changes", len(*changed))
	}
	put("_format_version: \"3.0\"\nservces: []\n")
	polls(3)
	if len(*changed) != 1 || len(*failed) != 1 || (*failed)[0].Config != nil {
		t.Fatalf("%d changes, %d failures", len(*changed), len(*failed))
	}
	put(strings.Replace(kongFile, "/a]", "/b]", 1))
	polls(3)
	if len(*changed) != 2 {
		t.Errorf("mended, and %d changes", len(*changed))
	}
	put(strings.Replace(kongFile, "/a]", "/b]", 1)) // the same at another time
	polls(3)
	if len(*changed) != 2 {
		t.Error("the same content is a change")
	}
}

func TestWatcherIsNotHeldUp(t *testing.T) {
	t.Parallel()
	w, put, changed, _ := watched(t)
	for i := range 8 {
		put(kongFile + strings.Repeat("\n", i+1))
		w.Poll()
	}
	if len(*changed) == 0 {
		t.Error("a file that always changes is never read")
	}
}

func TestWatcherRuns(t *testing.T) {
	t.Parallel()
	w, put, _, _ := watched(t)
	manual := clock.NewManual(time.Unix(0, 0))
	w.Clock = manual
	done := make(chan load.Result, 1)
	w.Changed = func(r load.Result) { done <- r }
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		w.Run(ctx)
	}()
	put(strings.Replace(kongFile, "/a]", "/c]", 1))
	for range 2 {
		if err := manual.WaitTimers(ctx, 1); err != nil {
			t.Fatal(err)
		}
		manual.Advance(load.DefaultInterval)
	}
	if r := <-done; r.Config.Routes[0].Paths[0] != "/c" {
		t.Errorf("paths %v", r.Config.Routes[0].Paths)
	}
	cancel()
	<-stopped
}

func TestEmptyFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	r := load.Source{Paths: []string{folder}}.Load()
	if r.Config == nil || len(r.Problems) != 1 || r.Problems[0].File != folder || !strings.Contains(r.Problems[0].Message, "*.yaml") {
		t.Errorf("%+v", r)
	}
}
