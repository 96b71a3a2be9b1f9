package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure/test/e2e/browser"
)

func waitState(p *browser.Page, state string) {
	p.Wait("state "+state, fmt.Sprintf("document.querySelector('.card').dataset.state === %q", state))
}

func button(name string) string {
	return fmt.Sprintf(`.card button[aria-label^=%q]`, name)
}

func tempFile(t *testing.T, name string, body []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func picture(t *testing.T, width, height int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range img.Bounds().Dx() * img.Bounds().Dy() {
		img.Set(i%width, i/width, color.RGBA{uint8(i), 90, 180, 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// add uploads a file past the page and returns its id.
func (s *server) add(name string, body []byte) string {
	t := s.t
	t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/file/add", &form)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", w.FormDataContentType())
	answer, err := http.DefaultClient.Do(s.as(uploader, r))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var added struct{ FileID string }
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &added); err != nil || answer.StatusCode != http.StatusCreated || added.FileID == "" {
		t.Fatalf("upload of %q: %s: %s", name, answer.Status, text)
	}
	return added.FileID
}

// get returns a GET of a path.
func (s *server) get(path string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// status returns the status of a GET as one of the people.
func (s *server) status(who, path string) int {
	s.t.Helper()
	answer, err := http.DefaultClient.Do(s.as(who, s.get(path)))
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

// status returns the status of a GET by nobody.
func status(t *testing.T, url string) int {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

func TestFileIsUploadedApprovedAndDownloaded(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := s.open(uploader)
	p.Wait("the empty list", `!document.getElementById('empty').hidden`)
	body := picture(t, 300, 200)
	p.SetFiles("#picker", tempFile(t, "sunset.png", body))
	waitState(p, "AwaitingUploadApproval")
	if got := p.Text(".card .name"); got != "sunset.png" {
		t.Errorf("name %q", got)
	}
	s.become(p, uploadApprover)
	p.Click(button("Approve upload"))
	waitState(p, "AwaitingDownloadApproval")
	p.Click(".card summary")
	const row = `[...document.querySelectorAll('.card tbody tr')].some((tr) =>
		tr.children[0].textContent === %q && tr.children[1].textContent === %q)`
	p.Wait("the width", fmt.Sprintf(row, "Width", "300"))
	p.Wait("the height", fmt.Sprintf(row, "Height", "200"))
	p.Wait("the thumbnail", `document.querySelector('.thumb img').naturalWidth > 0`)
	s.become(p, downloadApprover)
	p.Click(button("Approve download"))
	waitState(p, "Available")
	s.become(p, uploader)
	name, got := p.Download(button("Download"))
	if name != "sunset.png" || !bytes.Equal(got, body) {
		t.Errorf("downloaded %q with %d bytes, want sunset.png with %d", name, len(got), len(body))
	}
	p.Quiet()
}

func TestUploadIsRejected(t *testing.T) {
	t.Parallel()
	s := start(t)
	id := s.add("plan.txt", []byte("secret plan"))
	p := s.open(uploadApprover)
	p.Click(button("Reject"))
	p.Wait("the comment field", `document.activeElement.id === 'reject-comment'`)
	for _, letter := range "too early" {
		p.Press(string(letter))
	}
	p.Click(`#reject button[value="reject"]`)
	waitState(p, "Rejected")
	if got := s.status(uploader, "/api/download/"+id); got != http.StatusForbidden {
		t.Errorf("download of a rejected file: status %d, want 403", got)
	}
	p.Quiet()
}

func TestDownloadIsRejected(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.add("notes.txt", []byte("one\ntwo\n"))
	p := s.open(uploadApprover)
	p.Click(button("Approve upload"))
	waitState(p, "AwaitingDownloadApproval")
	s.become(p, downloadApprover)
	p.Click(button("Reject"))
	p.Click(`#reject button[value="reject"]`)
	waitState(p, "Rejected")
	if got := p.Text(".card [data-status=stopped] .step-name"); got != "Approve download" {
		t.Errorf("stopped at %q", got)
	}
	p.Quiet()
}

func TestHostileFileNameIsText(t *testing.T) {
	t.Parallel()
	const hostile = `<img src=x onerror=document.title=1>.txt`
	s := start(t)
	s.add(hostile, []byte("harmless"))
	p := s.open(uploadApprover)
	if got := p.Text(".card .name"); got != hostile {
		t.Errorf("name %q", got)
	}
	p.Click(button("Approve upload"))
	waitState(p, "AwaitingDownloadApproval")
	p.Click(".card summary")
	p.Wait("the metadata", `document.querySelectorAll('.card tbody tr').length > 0`)
	if got := browser.Eval[string](p, "document.title"); got != "File approver" {
		t.Errorf("title %q", got)
	}
	p.Quiet()
}

// The page that is open when the server crashes goes on when it is back, and so
// does the file.
func TestPageGoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := s.open(uploader)
	p.SetFiles("#picker", tempFile(t, "notes.txt", []byte("one\ntwo\n")))
	waitState(p, "AwaitingUploadApproval")
	s.kill()
	p.Wait("the notice", `!document.getElementById('offline').hidden`)
	s.restart()
	p.Wait("no notice", `document.getElementById('offline').hidden`)
	s.become(p, uploadApprover)
	p.Click(button("Approve upload"))
	waitState(p, "AwaitingDownloadApproval")
	s.kill()
	s.restart()
	p.Wait("no notice", `document.getElementById('offline').hidden`)
	s.become(p, downloadApprover)
	p.Click(button("Approve download"))
	waitState(p, "Available")
	if name, got := p.Download(button("Download")); name != "notes.txt" || string(got) != "one\ntwo\n" {
		t.Errorf("downloaded %q with %q", name, got)
	}
	p.Quiet()
}

// A page of another site cannot decide by way of the browser of somebody who is signed in.
func TestForeignPageCannotApprove(t *testing.T) {
	t.Parallel()
	s := start(t)
	id := s.add("notes.txt", []byte("one\n"))
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>foreign</title><p>hello</p>")
	}))
	t.Cleanup(foreign.Close)
	p := s.open(uploadApprover)
	browser.Eval[bool](p, fmt.Sprintf("(location.assign(%q), true)", foreign.URL))
	p.Wait("the foreign page", `document.title === 'foreign'`)
	browser.Eval[bool](p, fmt.Sprintf(`(fetch(%q, { method: 'POST', mode: 'no-cors', body: '{"approved":true}' }).finally(() => { document.title = 'sent' }), true)`,
		s.url+"/api/approve/"+id))
	p.Wait("the answer", `document.title === 'sent'`)

	answer, err := http.DefaultClient.Do(s.as(uploader, s.get("/api/file/"+id)))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"AwaitingUploadApproval"`) {
		t.Errorf("after a foreign page's post the file is %s", text)
	}
}
