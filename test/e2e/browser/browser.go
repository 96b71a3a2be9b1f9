// Package browser drives a page in headless Chromium for tests: it waits for
// what a person would see, presses what a person would press, and collects what
// the page complains about.
package browser

import (
	"context"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take to show what a test waits for. It is
// long because test machines are slow; a test that passes does not use it.
const patience = 30 * time.Second

// names of Chromium, in the order they are tried.
var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// Page is a browser of its own with one page open, for one test.
type Page struct {
	t   testing.TB
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// Open starts a browser and opens the page at url. Without a browser the test
// is skipped; it fails instead where CI or PERDURE_TEST_ALL is set, because
// there a skipped test would look like a passed one.
func Open(t testing.TB, url string) *Page {
	t.Helper()
	path := find()
	if path == "" {
		const how = "no Chromium found: install it, on Debian with: sudo apt-get install chromium"
		if os.Getenv("CI") != "" || os.Getenv("PERDURE_TEST_ALL") != "" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), append(
		slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // not to be had in most containers; only pages of the test are visited
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.WindowSize(1280, 900),
	)...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		closing, stop := context.WithTimeout(ctx, patience)
		defer stop()
		if err := chromedp.Cancel(closing); err != nil {
			t.Logf("closing the browser: %v", err)
		}
		cancel()
		cancelAllocator()
	})
	p := &Page{t: t, ctx: ctx}
	go p.listen(chromedp.Console(ctx)) // starts the browser
	p.do("set the size", chromedp.EmulateViewport(1280, 900))
	p.do("open "+url, chromedp.Navigate(url))
	return p
}

func find() string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// listen collects what the page writes to the console and does not catch. What
// the browser notes about refused requests is left out: tests provoke those.
func (p *Page) listen(messages iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range messages {
		if err != nil {
			return // the browser was closed
		}
		grave := m.IsException() || m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning
		if !grave || m.Source == "network" {
			continue
		}
		p.mu.Lock()
		p.complaints = append(p.complaints, m.String())
		p.mu.Unlock()
	}
}

// Complaints returns the errors, warnings and broken security policies that the
// page has reported so far.
func (p *Page) Complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.complaints)
}

// Quiet fails the test when the page has complained.
func (p *Page) Quiet() {
	p.t.Helper()
	for _, c := range p.Complaints() {
		p.t.Errorf("the page complained: %s", c)
	}
}

func (p *Page) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// Eval returns the value of a JavaScript expression in the page.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return value
}

// Wait waits until a JavaScript expression is true. An expression that throws
// is not true yet.
func (p *Page) Wait(what, expression string) {
	p.t.Helper()
	guarded := fmt.Sprintf("(() => { try { return Boolean(%s) } catch { return false } })()", expression)
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(25 * time.Millisecond)
	defer again.Stop()
	for !p.holds(guarded) {
		select {
		case <-again.C:
		case <-deadline.C:
			p.t.Fatalf("waited %v for %s: %s\nthe page shows:\n%s\nit complained: %v",
				patience, what, expression, Eval[string](p, "document.body.innerText"), p.Complaints())
		}
	}
}

// holds evaluates a condition, which does not hold while the page makes way for another.
func (p *Page) holds(condition string) bool {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[bool](condition))
	switch {
	case err == nil:
		return value
	case leaving.MatchString(err.Error()):
		return false
	}
	p.t.Fatalf("evaluate %s: %v", condition, err)
	return false
}

// leaving is what the browser says about a page that makes way for another.
var leaving = regexp.MustCompile(`navigated|context was destroyed|Cannot find (default )?(execution )?context`)

// Text waits for the only element of a CSS selector and returns its text.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	p.Wait("one "+selector, fmt.Sprintf("document.querySelectorAll(%q).length === 1", selector))
	return Eval[string](p, fmt.Sprintf("document.querySelector(%q).textContent", selector))
}

// Click waits for the element to be visible and clicks it with the mouse.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.do("click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Press presses keys, one after another: letters, or keys of package
// github.com/chromedp/chromedp/kb.
func (p *Page) Press(keys ...string) {
	p.t.Helper()
	for _, k := range keys {
		p.do(fmt.Sprintf("press %q", k), chromedp.KeyEvent(k))
	}
}

// SetFiles picks files in a file input.
func (p *Page) SetFiles(selector string, files ...string) {
	p.t.Helper()
	p.do("pick files", chromedp.SetUploadFiles(chromedp.CSS(selector), files, chromedp.NodeReady))
}

// Look sets the window's size in CSS pixels and the colour scheme, "light" or
// "dark", and asks the page not to animate, so that what is seen is final.
func (p *Page) Look(width, height int64, scheme string) {
	p.t.Helper()
	p.do("set the size", chromedp.EmulateViewport(width, height))
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme},
			{Name: "prefers-reduced-motion", Value: "reduce"},
		},
	})
	if err != nil {
		p.t.Fatalf("set the colour scheme: %v", err)
	}
}

// Download clicks something and returns the name and the bytes of the file that
// is downloaded because of it.
func (p *Page) Download(selector string) (name string, body []byte) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	folder, report := p.t.TempDir(), true
	began := chromedp.BrowserEvents(ctx, browser.DownloadWillBegin)
	progress := chromedp.BrowserEvents(ctx, browser.DownloadProgress)
	_, err := chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior:      browser.SetDownloadBehaviorBehaviorAllowAndName,
		DownloadPath:  folder,
		EventsEnabled: &report,
	})
	if err != nil {
		p.t.Fatalf("allow downloads: %v", err)
	}
	p.Click(selector)
	for event, err := range began {
		if err != nil {
			p.t.Fatalf("no download began: %v", err)
		}
		name = event.SuggestedFilename
		break
	}
	for event, err := range progress {
		switch {
		case err != nil:
			p.t.Fatalf("the download did not end: %v", err)
		case event.State == browser.DownloadProgressStateCanceled:
			p.t.Fatal("the download was refused")
		case event.State == browser.DownloadProgressStateCompleted:
			body, err := os.ReadFile(filepath.Join(folder, event.GUID))
			if err != nil {
				p.t.Fatal(err)
			}
			return name, body
		}
	}
	p.t.Fatal("the browser was closed during the download")
	return "", nil
}

// Screenshot returns the whole page as a PNG image.
func (p *Page) Screenshot() []byte {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatalf("screenshot: %v", err)
	}
	return png
}
