package web_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/perdure/perdure/test/e2e/browser"
)

// findTrouble returns what a person could not see or use: text with too little
// contrast to what is behind it (WCAG 2.2, 1.4.3), things to press that are too
// small (2.5.8) or have no name, and content wider than the window.
const findTrouble = `(() => {
	const trouble = [];
	const channels = (colour) => {
		const m = /^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/.exec(colour);
		return [Number(m[1]), Number(m[2]), Number(m[3]), m[4] === undefined ? 1 : Number(m[4])];
	};
	const over = (top, bottom) => [0, 1, 2].map((i) => top[i] * top[3] + bottom[i] * (1 - top[3])).concat(1);
	const behind = (element) => {
		const layers = [];
		for (let e = element; e; e = e.parentElement) {
			layers.push(channels(getComputedStyle(e).backgroundColor));
		}
		return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
	};
	const luminance = (rgb) => {
		const [r, g, b] = rgb.slice(0, 3).map((c) => {
			c /= 255;
			return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
		});
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const contrast = (a, b) => {
		const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
		return (x + 0.05) / (y + 0.05);
	};
	const shown = (e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !e.closest('.visually-hidden, .skip');
	const name = (e) => e.tagName.toLowerCase() + '.' + e.className + ' "' + e.textContent.trim().slice(0, 30) + '"';

	let texts = 0;
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walker.nextNode()) {
		const e = walker.currentNode.parentElement;
		if (!walker.currentNode.textContent.trim() || !shown(e)) {
			continue;
		}
		texts++;
		const back = behind(e);
		const ratio = contrast(over(channels(getComputedStyle(e).color), back), back);
		if (ratio < 4.5) {
			trouble.push(name(e) + ': contrast ' + ratio.toFixed(2));
		}
	}
	if (texts < 30) {
		trouble.push('only ' + texts + ' texts were looked at');
	}
	for (const e of document.querySelectorAll('button, summary, label.button, a[href], textarea')) {
		if (!shown(e)) {
			continue;
		}
		const box = e.getBoundingClientRect();
		if (box.height < 24 || box.width < 24) {
			trouble.push(name(e) + ': ' + box.width + ' by ' + box.height + ' pixels');
		}
		if (!(e.textContent.trim() || e.getAttribute('aria-label') || (e.labels && e.labels.length))) {
			trouble.push(name(e) + ': has no name');
		}
	}
	if (document.documentElement.scrollWidth > innerWidth) {
		trouble.push('the page is ' + document.documentElement.scrollWidth + ' pixels wide');
	}
	return trouble;
})()`

func TestLooks(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	analyzed := time.Now()
	long := "a-rather-long-file-name-without-any-blank-in-it-that-has-to-be-broken-somewhere-on-a-phone.tar.gz"
	f.put(file{Name: "expired.docx", ContentType: "application/vnd.openxmlformats-officedocument.wordprocessingml.document", State: "Expired"})
	f.put(file{Name: "failed.pdf", Size: 1, ContentType: "application/pdf", State: "Failed", Cause: long})
	f.put(file{Name: "rejected.txt", Size: 1200, State: "Rejected", Cause: "Not this one."})
	f.put(file{Name: long, Size: 3 << 20, ContentType: "application/gzip", State: "Available", AnalyzedAt: &analyzed})
	f.put(file{Name: "analysing.txt", Size: 5000, ContentType: "text/plain", State: "Analyzing"})
	f.put(file{Name: "new.txt", Size: 5000, ContentType: "text/plain", State: "AwaitingUploadApproval"})
	f.put(file{Name: "sunset.png", Size: 5000, ContentType: "image/png"})
	f.analyse(entry{"SHA-256", long + long, "file"}, entry{"Dominant colour", "#6a82be", "image"}, entry{long, "4", long})
	p := browser.Open(t, f.server.URL)
	p.Click(".card[data-state=AwaitingDownloadApproval] summary")
	p.Wait("the metadata", `document.querySelectorAll('tbody tr').length === 3`)
	p.Click(".card[data-state=Available] .actions button")
	p.Wait("the link", `document.querySelector('.link-line')`)

	looks := func(what string) {
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int64{320, 375, 800, 1280} {
				p.Look(width, 800, scheme)
				for _, trouble := range browser.Eval[[]string](p, findTrouble) {
					t.Errorf("%s, %d wide, %s: %s", what, width, scheme, trouble)
				}
			}
		}
	}
	looks("list")
	p.Click(".card[data-state=AwaitingUploadApproval] .danger-quiet")
	p.Wait("the dialog", `document.getElementById('reject').open`)
	looks("dialog")
	p.Quiet()
}

// The focus can be seen on everything that Tab reaches.
func TestFocusIsVisible(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.put(file{Name: "a.txt", State: "Analyzing"})
	f.analyse()
	p := browser.Open(t, f.server.URL)
	waitState(p, "AwaitingDownloadApproval")
	var reached []string
	for range 7 {
		p.Press("\t")
		where := browser.Eval[string](p, `(() => {
			const e = document.activeElement;
			const ring = e.id === 'picker' ? document.querySelector('label[for=picker]') : e;
			const style = getComputedStyle(ring);
			return (e.id || e.getAttribute('aria-label') || e.textContent.trim()) +
				(style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 ? '' : ' (no ring)');
		})()`)
		reached = append(reached, where)
	}
	want := "[Skip to the files Sign out picker Approve download: a.txt Reject: a.txt What the analysis found"
	if got := fmt.Sprint(reached); len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("Tab reaches %s, want %s …", got, want)
	}
}
