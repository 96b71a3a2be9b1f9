// Package names_test drives the names example, built and started as a user would, in a real
// browser.
package names_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/perdure/perdure/test/e2e/browser"
	"github.com/perdure/perdure/test/program"
)

func TestChartMoves(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("no browser in a short run")
	}
	names := &program.Program{Binary: filepath.Join(t.TempDir(), "names"), Data: t.TempDir(), Env: []string{"NAMES_EACH=50"}}
	if err := program.Build(t.Context(), names.Binary, "examples/names"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(names.Kill)
	if err := names.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatalf("%v\n%s", err, names.Tail())
	}
	p := browser.Open(t, names.URL())
	p.Wait("the connection", "document.getElementById('state').textContent === 'live'")
	p.Wait("the first window", "document.querySelectorAll('#letters rect').length > 5")
	points := browser.Eval[string](p, "document.querySelector('#flow polyline').getAttribute('points')")
	if points == "" {
		t.Error("the chart has no points")
	}
	p.Wait("the next window", "document.querySelector('#flow polyline').getAttribute('points') !== '"+points+"'")
	p.Wait("the top", "document.querySelectorAll('#top li').length === 12")

	p.Click("#names")
	p.Press("Zebedee", kb.Enter)
	p.Wait("the answer", "document.getElementById('added').textContent.startsWith('1 sent')")
	p.Wait("the name", "[...document.querySelectorAll('#letters text')].some(e => e.textContent === 'Z')")
	p.Quiet()
}
