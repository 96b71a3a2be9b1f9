package web_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/perdure/perdure/test/e2e/browser"
)

// tempFile writes a file to pick in the page.
func tempFile(t *testing.T, name string, body []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// waitState waits until the only card shows a state.
func waitState(p *browser.Page, state string) {
	p.Wait("state "+state, fmt.Sprintf("document.querySelector('.card').dataset.state === %q", state))
}

// button is the selector of a card's button, by the beginning of its name.
func button(name string) string {
	return fmt.Sprintf(`.card button[aria-label^=%q]`, name)
}

func TestFileIsUploadedApprovedAndDownloaded(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := browser.Open(t, f.server.URL)
	p.Wait("the empty list", `!document.getElementById('empty').hidden`)

	body := picture(40)
	p.SetFiles("#picker", tempFile(t, "sunset.png", body))
	waitState(p, "AwaitingUploadApproval")
	if got := p.Text(".card .name"); got != "sunset.png" {
		t.Errorf("name %q", got)
	}
	if got := p.Text(".card .pill"); got != "Waiting for upload approval" {
		t.Errorf("pill %q", got)
	}
	if got := p.Text("#summary"); got != "1 file waits for a decision" {
		t.Errorf("summary %q", got)
	}
	p.Wait("no upload in progress", `document.querySelectorAll('.upload-item').length === 0`)

	p.Click(button("Approve upload"))
	waitState(p, "Analyzing")
	if n := browser.Eval[int](p, `document.querySelectorAll('.card .actions button').length`); n != 0 {
		t.Errorf("%d buttons while the file is analysed", n)
	}

	f.analyse(entry{"Width", "40", "image"}, entry{"Dominant colour", "#6a82be", "image"})
	waitState(p, "AwaitingDownloadApproval")
	p.Wait("the announcement", `document.getElementById('live').textContent === 'sunset.png: Waiting for download approval'`)
	p.Wait("the thumbnail", `document.querySelector('.thumb img').naturalWidth === 96 && !document.querySelector('.thumb img').hidden`)
	p.Click(".card summary")
	p.Wait("the metadata", `document.querySelectorAll('.card tbody tr').length === 2`)
	if got := p.Text(".card tbody"); got != "Width40imageDominant colour#6a82beimage" {
		t.Errorf("metadata %q", got)
	}

	p.Click(button("Approve download"))
	waitState(p, "Available")
	if !browser.Eval[bool](p, `document.querySelector('.card details').open`) {
		t.Error("the metadata was folded when the state changed")
	}
	name, got := p.Download(button("Download"))
	if name != "sunset.png" || !bytes.Equal(got, body) {
		t.Errorf("downloaded %q with %d bytes, want sunset.png with %d", name, len(got), len(body))
	}
	p.Wait("the link's end", `document.querySelector('.link-line').textContent.includes('until')`)
	p.Quiet()
}

func TestRejectByKeyboard(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.put(file{Name: "plan.pdf", Size: 10, State: "AwaitingUploadApproval"})
	p := browser.Open(t, f.server.URL)
	waitState(p, "AwaitingUploadApproval")

	tabTo := func(what, isFocused string) {
		t.Helper()
		for range 20 {
			if browser.Eval[bool](p, isFocused) {
				return
			}
			p.Press(kb.Tab)
		}
		t.Fatalf("%s is not reached by Tab", what)
	}
	const onReject = `document.activeElement.matches('.card button[aria-label="Reject: plan.pdf"]')`
	const onComment = `document.activeElement.id === 'reject-comment'`
	tabTo("Reject", onReject)
	p.Press(kb.Enter)
	p.Wait("the comment field", onComment)
	if got := p.Text("#reject-file"); got != "plan.pdf" {
		t.Errorf("the dialog speaks of %q", got)
	}
	p.Press("n", "o", kb.Escape)
	p.Wait("the dialog is called off and the focus is back", onReject)
	if got := f.newest().State; got != "AwaitingUploadApproval" {
		t.Fatalf("Escape left the file %s", got)
	}

	p.Press(kb.Enter)
	p.Wait("the comment field", onComment)
	for _, letter := range "too early" {
		p.Press(string(letter))
	}
	tabTo("Reject file", `document.activeElement.value === 'reject'`)
	p.Press(kb.Enter)
	waitState(p, "Rejected")
	if got := f.newest().comments; len(got) != 1 || got[0] != "too early" {
		t.Errorf("comments %q", got)
	}
	if got := p.Text(".card .cause"); got != "too early" {
		t.Errorf("cause %q", got)
	}
	p.Wait("the focus on the card", `document.activeElement.matches('.card')`)
	if got := p.Text(".card [data-status=stopped] .step-name"); got != "Approve upload" {
		t.Errorf("stopped at %q", got)
	}
	p.Quiet()
}

// A dialog that is opened again at once asks anew: the event of the first
// closing, which comes late, does not answer it.
func TestRejectDialogIsReopenedAtOnce(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.put(file{Name: "a.txt", State: "AwaitingUploadApproval"})
	p := browser.Open(t, f.server.URL)
	waitState(p, "AwaitingUploadApproval")
	browser.Eval[bool](p, `(() => {
		const reject = document.querySelector('.card .danger-quiet');
		const dialog = document.getElementById('reject');
		reject.click();
		dialog.close();
		reject.click();
		return dialog.open;
	})()`)
	p.Click(`#reject button[value="reject"]`)
	waitState(p, "Rejected")
	if got := f.newest().comments; len(got) != 1 {
		t.Errorf("%d decisions arrived, want one", len(got))
	}
	p.Quiet()
}

func TestDownloadIsRejected(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.put(file{Name: "a.txt", Size: 1, State: "Analyzing"})
	f.analyse(entry{"Lines", "1", "text"})
	p := browser.Open(t, f.server.URL)
	p.Click(button("Reject"))
	p.Click(`#reject button[value="reject"]`)
	waitState(p, "Rejected")
	if got := p.Text(".card [data-status=stopped] .step-name"); got != "Approve download" {
		t.Errorf("stopped at %q", got)
	}
	if got := f.newest().comments; len(got) != 1 || got[0] != "" {
		t.Errorf("comments %q", got)
	}
	p.Quiet()
}

func TestHostileTextIsText(t *testing.T) {
	t.Parallel()
	const hostile = `<img src=x onerror="document.title='owned'">`
	f := newFake(t)
	f.put(file{
		Name: hostile + "\u202egnp.exe", ContentType: "text/" + hostile, State: "Failed",
		Cause: hostile + "<script>document.title='owned'</script>",
	})
	f.put(file{Name: "b", State: "Analyzing"})
	f.analyse(entry{hostile, hostile, hostile})
	p := browser.Open(t, f.server.URL)
	p.Click(".card summary")
	p.Wait("the metadata", `document.querySelectorAll('.card tbody td').length === 2`)

	const failed = `.card[data-state=Failed] `
	if got := p.Text(failed + ".name"); got != hostile+"\ufffdgnp.exe" {
		t.Errorf("name %q", got)
	}
	if got := p.Text(failed + ".cause"); !strings.HasPrefix(got, hostile+"<script>") {
		t.Errorf("cause %q", got)
	}
	if got := p.Text(".card tbody .value"); got != hostile {
		t.Errorf("value %q", got)
	}
	if n := browser.Eval[int](p, `document.querySelectorAll('.card img[src=x], .card script').length`); n != 0 {
		t.Errorf("%d elements made of text", n)
	}
	if got := browser.Eval[string](p, "document.title"); got != "File approver" {
		t.Errorf("title %q", got)
	}
	p.Quiet()
}

func TestRefusedDecisionIsExplained(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.put(file{Name: "a.txt", State: "AwaitingUploadApproval"})
	p := browser.Open(t, f.server.URL)
	waitState(p, "AwaitingUploadApproval")
	f.overtake() // somebody else decides, and the page has not heard of it
	p.Click(button("Approve upload"))
	p.Wait("the refusal", `document.querySelector('.card .problem').textContent ===
		'This file was already decided on by somebody else.'`)
	p.Quiet()
}

func TestUploadThatIsRefused(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := browser.Open(t, f.server.URL)
	huge := tempFile(t, "huge.iso", nil)
	if err := os.Truncate(huge, 65<<20); err != nil {
		t.Fatal(err)
	}
	p.SetFiles("#picker", huge, tempFile(t, "refused.txt", []byte("refuse me")), tempFile(t, "good.txt", []byte("good")))
	p.Wait("both refusals", `document.querySelectorAll('.upload-item.failed').length === 2`)
	waitState(p, "AwaitingUploadApproval")
	got := browser.Eval[string](p, `[...document.querySelectorAll('.upload-item')].map((e) => e.innerText).join('\n')`)
	for _, want := range []string{"huge.iso", "This file has 65 MiB; the limit is 64 MiB.", "refused.txt", "The file is larger than 64 MiB."} {
		if !strings.Contains(got, want) {
			t.Errorf("uploads show %q, which lacks %q", got, want)
		}
	}
	if f.count() != 1 {
		t.Errorf("%d files arrived, want good.txt alone", f.count())
	}
	p.Click(".upload-item button")
	p.Wait("one is dismissed", `document.querySelectorAll('.upload-item').length === 1`)
	p.Quiet()
}

func TestUploadShowsProgressAndCanBeCancelled(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.hold = make(chan struct{})
	p := browser.Open(t, f.server.URL)
	p.SetFiles("#picker", tempFile(t, "large.bin", make([]byte, 32<<20)))
	p.Wait("progress", `document.querySelector('.upload-item progress').value > 0 &&
		/^\d+ %$|^Saving…$/.test(document.querySelector('.upload-state').textContent)`)
	p.Click(".upload-item button")
	p.Wait("it is gone", `document.querySelectorAll('.upload-item').length === 0`)
	if f.count() != 0 {
		t.Error("the cancelled file arrived")
	}
	p.Quiet()
}

func TestDroppedFiles(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := browser.Open(t, f.server.URL)
	drag := func(kind string) {
		browser.Eval[bool](p, fmt.Sprintf(`(() => {
			const data = new DataTransfer();
			data.items.add(new File(['dropped'], 'dropped.txt'));
			return document.querySelector('h1').dispatchEvent(
				new DragEvent(%q, { dataTransfer: data, bubbles: true, cancelable: true }));
		})()`, kind))
	}
	drag("dragenter")
	p.Wait("the highlight", `document.getElementById('drop').classList.contains('over')`)
	drag("drop")
	waitState(p, "AwaitingUploadApproval")
	p.Wait("no highlight", `!document.getElementById('drop').classList.contains('over')`)
	if got := f.newest(); got.Name != "dropped.txt" || string(got.body) != "dropped" {
		t.Errorf("arrived: %q with %q", got.Name, got.body)
	}
	p.Quiet()
}

func TestServerGoesAndComesBack(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.put(file{Name: "a.txt", State: "Analyzing"})
	p := browser.Open(t, f.server.URL)
	waitState(p, "Analyzing")
	f.setDown(true)
	p.Wait("the notice", `document.getElementById('offline').textContent.startsWith('The store is being restored.')`)
	f.setDown(false)
	f.analyse()
	waitState(p, "AwaitingDownloadApproval")
	p.Wait("no notice", `document.getElementById('offline').hidden`)
	p.Quiet()
}

func TestOlderFiles(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for i := range 120 {
		f.put(file{Name: fmt.Sprintf("%03d.txt", i), State: "Available"})
	}
	p := browser.Open(t, f.server.URL)
	const names = `[...document.querySelectorAll('.card .name')].map((e) => e.textContent)`
	p.Wait("the first page", names+`.length === 50`)
	p.Click("#older")
	p.Wait("the second page", names+`.length === 100`)
	p.Click("#older")
	p.Wait("the third page", names+`.length === 120`)
	p.Wait("no more", `document.getElementById('older').hidden`)
	got := browser.Eval[[]string](p, names)
	for i, name := range got {
		if want := fmt.Sprintf("%03d.txt", 119-i); name != want {
			t.Fatalf("place %d: %s, want %s", i, name, want)
		}
	}
	p.Quiet()
}
