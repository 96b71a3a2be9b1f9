package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDownload(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	other := s.available("another file, with other words")
	image := picture(t, 40, 30)
	id := s.upload(image)
	forbidden := func() {
		t.Helper()
		s.get("/api/download/"+id).problem(t, http.StatusForbidden)
	}
	forbidden()
	s.decide("/api/approve/"+id, "")
	forbidden()
	s.state(id, AwaitingDownloadApproval)
	forbidden()
	s.decide("/api/approve/download/"+id, "")

	a := s.get("/api/download/" + id)
	var doc map[string]any
	a.into(t, 200, &doc)
	for _, name := range []string{"fileId", "metadata", "downloadUrl", "expiresAt"} {
		if doc[name] == nil {
			t.Errorf("no %s in %s", name, a.body)
		}
	}
	if len(doc) != 4 {
		t.Errorf("members %v", doc)
	}
	for _, entry := range doc["metadata"].([]any) {
		e := entry.(map[string]any)
		if len(e) != 3 || e["name"] == "" || e["value"] == nil || e["source"] == "" {
			t.Errorf("entry %v", e)
		}
	}
	d := s.download(id)
	got := values(d.Metadata)
	for name, want := range map[string]string{"Width": "40", "Height": "30", "ContentLength": fmt.Sprint(len(image)), "ContentType": "image/png"} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q in %v", name, got[name], want, got)
		}
	}
	if !d.ExpiresAt.Equal(noon.Add(time.Hour)) {
		t.Errorf("expires at %v", d.ExpiresAt)
	}
	if a := s.get(d.DownloadURL); a.status != 200 || a.body != image {
		t.Errorf("download: %d with %d bytes", a.status, len(a.body))
	}
	if d := s.download(other); values(d.Metadata)["Width"] != "" || values(d.Metadata)["ContentLength"] != "30" {
		t.Errorf("the metadata of another file: %v", d.Metadata)
	}
	if a := s.get("/api/thumbnail/" + id); a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "image/") {
		t.Errorf("thumbnail: %d %v", a.status, a.header)
	}
	s.get("/api/thumbnail/"+other).problem(t, http.StatusNotFound)
}

func TestDownloadURLIsAtTheAddressOfTheRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.available("hello")
	_, port, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), ":")
	for _, host := range []string{"localhost", "127.0.0.1", "[::1]"} {
		want := "http://" + host + ":" + port + "/"
		d := s.download(id, "Host", host+":"+port)
		if !strings.HasPrefix(d.DownloadURL, want) {
			t.Errorf("got %s, want it at %s", d.DownloadURL, want)
		}
		// The address is not part of the signature.
		rest := strings.TrimPrefix(d.DownloadURL, want)
		if a := s.get("/"+rest, "Host", host+":"+port); a.body != "hello" {
			t.Errorf("%s: %+v", host, a)
		}
	}
}

func TestLinkServesRanges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	link := s.download(s.available("0123456789")).DownloadURL
	for ranges, want := range map[string]string{"bytes=2-4": "234", "bytes=-3": "789", "bytes=7-": "789", "bytes=5-100": "56789"} {
		a := s.get(link, "Range", ranges)
		if a.status != http.StatusPartialContent || a.body != want || !strings.HasSuffix(a.header.Get("Content-Range"), "/10") {
			t.Errorf("%s: %+v", ranges, a)
		}
	}
	if a := s.get(link, "Range", "bytes=10-"); a.status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("behind the end: %d", a.status)
	}
	if a := s.get(link, "Range", "bytes=0-1,4-5"); a.status != http.StatusPartialContent || !strings.HasPrefix(a.header.Get("Content-Type"), "multipart/byteranges") {
		t.Errorf("two ranges: %+v", a)
	}
	head := s.do("HEAD", link, "")
	if head.status != 200 || head.body != "" || head.header.Get("Content-Length") != "10" || head.header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("HEAD: %+v", head)
	}
	if a := s.get(link, "If-None-Match", head.header.Get("ETag")); a.status != http.StatusNotModified {
		t.Errorf("known ETag: %d", a.status)
	}
	s.do("POST", link, "x").problem(t, http.StatusMethodNotAllowed)
}

func TestLinkWithOneChangedCharacterIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	link := strings.TrimPrefix(s.download(s.available("hello")).DownloadURL, s.url)
	for i := 1; i < len(link); i++ { // without its first character it is no path at all
		for _, c := range []byte("AaZz0_-") {
			if link[i] == c {
				continue
			}
			changed := link[:i] + string(c) + link[i+1:]
			if a := s.get(changed); a.status != http.StatusForbidden || a.body == "hello" {
				t.Fatalf("position %d %q→%q: %d", i, link[i], c, a.status)
			}
		}
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	for what, changed := range map[string]string{
		"cut":                  link[:len(link)-1],
		"longer":               link + "A",
		"padding":              link + "=",
		"one more parameter":   link + "&x=1",
		"one parameter before": strings.Replace(link, "?", "?x=1&", 1),
		"escaped character":    strings.Replace(link, "/files/", "/%66iles/", 1),
		"no query":             u.Path,
		"no signature":         link[:strings.Index(link, "&signature=")],
		"later end":            strings.Replace(link, "expires=", "expires=9", 1),
		"doubled query":        link + "&" + u.RawQuery,
		"other order":          u.Path + "?" + u.Query().Encode(),
	} {
		if changed == link {
			continue
		}
		if a := s.get(changed); a.status != http.StatusForbidden {
			t.Errorf("%s: %d", what, a.status)
		}
	}
	if a := s.get(link); a.body != "hello" {
		t.Errorf("the link itself: %+v", a)
	}
}

func TestLinkWorksForOneHourAndSurvivesARestart(t *testing.T) {
	t.Parallel()
	s := newLasting(t)
	d := s.download(s.available("hello"))
	link := strings.TrimPrefix(d.DownloadURL, s.url)
	s.restart()
	if a := s.get(link); a.status != 200 || a.body != "hello" {
		t.Errorf("after a restart: %+v", a)
	}
	s.clock.AdvanceTo(d.ExpiresAt.Add(-time.Second))
	if a := s.get(link); a.status != 200 || a.body != "hello" {
		t.Errorf("one second before its end: %+v", a)
	}
	s.clock.AdvanceTo(d.ExpiresAt)
	if detail := s.get(link).problem(t, http.StatusForbidden); !strings.Contains(detail, "expired") {
		t.Errorf("detail %q", detail)
	}
	if again := s.download(d.FileID); !again.ExpiresAt.Equal(d.ExpiresAt.Add(time.Hour)) || s.get(again.DownloadURL).body != "hello" {
		t.Errorf("a new link: %+v", again)
	}
}

// bytesOnDisk counts the bytes of all blobs of a site that lasts.
func (s *site) bytesOnDisk() (sum int64) {
	s.t.Helper()
	err := filepath.WalkDir(filepath.Join(s.config.Data, "blobs"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // what is gone meanwhile does not count
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return sum
}

func TestRejectedFileIsGone(t *testing.T) {
	t.Parallel()
	s := newLasting(t)
	rejections := map[string]func() string{
		"upload": func() string {
			id := s.upload(picture(t, 20, 20))
			if a := s.decide("/api/approve/"+id, `{"approved":false,"comment":"blurred"}`); a.status != http.StatusAccepted {
				t.Errorf("rejection: %+v", a)
			}
			return id
		},
		"download": func() string {
			id := s.upload(picture(t, 20, 20))
			s.decide("/api/approve/"+id, "")
			s.state(id, AwaitingDownloadApproval)
			if a := s.get("/api/thumbnail/" + id); a.status != 200 {
				t.Errorf("thumbnail: %d", a.status)
			}
			if a := s.decide("/api/approve/download/"+id, `{"approved":false,"comment":"blurred"}`); a.status != http.StatusAccepted {
				t.Errorf("rejection: %+v", a)
			}
			return id
		},
	}
	for what, reject := range rejections {
		id := reject()
		f := s.file(id)
		if f.State != Rejected || f.Cause != "blurred" || !f.ClosedAt.Equal(noon) {
			t.Errorf("%s: file %+v", what, f)
		}
		s.get("/api/download/"+id).problem(t, http.StatusForbidden)
		s.get("/api/thumbnail/"+id).problem(t, http.StatusNotFound)
		if out := s.output(id); out != Rejected {
			t.Errorf("%s: the process ended with %s", what, out)
		}
	}
	s.waitFor(func() bool { return s.bytesOnDisk() == 0 }, func() string {
		return fmt.Sprintf("%d bytes of rejected files are left", s.bytesOnDisk())
	})
}

// The answers of problems have the form of RFC 9457 and nothing else in them.
func TestProblems(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.upload("hello")
	for _, a := range []answer{s.get("/api/download/" + id), s.get("/api/file/none"), s.get("/api/files?limit=0"), s.decide("/api/approve/download/"+id, "")} {
		var doc map[string]any
		if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
			t.Fatal(err)
		}
		if doc["title"] != http.StatusText(a.status) && a.status != http.StatusBadRequest || doc["status"] != float64(a.status) || doc["detail"] == "" {
			t.Errorf("problem %s", a.body)
		}
	}
}
