package web_test

import (
	"strings"
	"testing"

	"github.com/perdure/perdure/test/e2e/browser"
)

// People see the buttons of what they may do, and are told who may do the rest.
func TestPageShowsWhatOneMayDo(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.put(file{Name: "own.txt", State: "AwaitingUploadApproval", UploadedBy: &person{"me", "Ada"}})
	f.put(file{Name: "other.txt", State: "AwaitingUploadApproval", UploadedBy: &person{"bob", "Bob <i>"}})
	f.put(file{Name: "later.txt", State: "AwaitingDownloadApproval", UploadedBy: &person{"bob", "Bob"}})
	for _, c := range []struct {
		may     []string
		upload  bool
		buttons int
	}{
		{[]string{"read:files"}, false, 0},
		{[]string{"read:files", "upload:files"}, true, 0},
		{[]string{"read:files", "approve:uploads"}, false, 2}, // not those of the own file
		{[]string{"read:files", "approve:downloads"}, false, 2},
	} {
		f.allow(c.may...)
		p := browser.Open(t, f.server.URL)
		p.Wait("the files", `document.querySelectorAll('.card').length === 3`)
		if got := p.Text("#me-name"); got != "Ada <b>Approver</b>" {
			t.Errorf("the name is %q", got)
		}
		if got := browser.Eval[bool](p, `!document.getElementById('add').hidden`); got != c.upload {
			t.Errorf("%v: the upload is shown: %t", c.may, got)
		}
		if got := browser.Eval[int](p, `document.querySelectorAll('.card .actions button').length`); got != c.buttons {
			t.Errorf("%v: %d buttons, want %d", c.may, got, c.buttons)
		}
		if got := browser.Eval[float64](p, `document.getElementById('files').getBoundingClientRect().width`); got < 600 {
			t.Errorf("%v: the files are %v wide", c.may, got)
		}
		for _, trouble := range browser.Eval[[]string](p, findTrouble) {
			if !strings.HasPrefix(trouble, "only") { // few files have few texts
				t.Errorf("%v: %s", c.may, trouble)
			}
		}
		p.Quiet()
	}
}

// Who is signed out is sent to the sign-in, and from there back.
func TestPageSignsInAgain(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := browser.Open(t, f.server.URL)
	p.Wait("the empty list", `!document.getElementById('empty').hidden`)
	f.signOut()
	p.Wait("the sign-in", `document.getElementById('login')?.textContent === 'back to /'`)
}
