package signedurl_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/signedurl"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
)

// site serves blobs over real HTTP.
type site struct {
	t         *testing.T
	store     *memory.Store
	committer *store.Committer
	dir       *blobstore.Dir
	signer    *signedurl.Signer
	handler   *signedurl.Handler
	server    *httptest.Server
	now       atomic.Int64 // seconds after start
}

func newSite(t *testing.T) *site {
	t.Helper()
	folder := t.TempDir()
	dir, err := blobstore.OpenDir(folder, blobstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, store: memory.New(nil), dir: dir, signer: openKeys(t, folder)}
	s.committer = store.NewCommitter(s.store, store.CommitterOptions{})
	s.handler = &signedurl.Handler{
		Signer: s.signer, Snapshot: s.store.Snapshot, Open: dir.Open,
		Now: func() time.Time { return start.Add(time.Duration(s.now.Load()) * time.Second) },
		Log: slog.New(slog.DiscardHandler),
	}
	mux := http.NewServeMux()
	mux.Handle(signedurl.Path, s.handler)
	s.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		s.server.Close()
		s.committer.Close()
		if err := errors.Join(dir.Close(), s.store.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *site) unit(f func(u *unit.Unit) error) {
	s.t.Helper()
	env := &unit.Env{Snapshot: s.store.Snapshot, Now: s.handler.Now}
	err := unit.Run(s.t.Context(), env, s.committer, 1, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		return f(u)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// put writes a blob and returns a link to it that is good for an hour.
func (s *site) put(name, text string, b records.Blob) (link string) {
	s.t.Helper()
	key, size, err := s.dir.Create(s.t.Context(), strings.NewReader(text), 0)
	if err != nil {
		s.t.Fatal(err)
	}
	b.Object, b.ETag, b.Size, b.Created = key, "e"+key, size, start
	s.unit(func(u *unit.Unit) error {
		return records.PutBlob(u, records.BlobKey{Container: "files", Name: name}, &b, start)
	})
	return s.signer.SignURL(signedurl.Claim{Container: "files", Name: name, Object: key, Expires: end})
}

// do sends a request for a link, which is sent as it is.
func (s *site) do(method, link string, header ...string) (*http.Response, string) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	lines := append([]string{method + " " + link + " HTTP/1.1", "Host: localhost", "Connection: close"}, header...)
	if _, err := fmt.Fprint(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		s.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		s.t.Fatal(err)
	}
	return resp, string(body)
}

func (s *site) wantStatus(want int, method, link string, header ...string) {
	s.t.Helper()
	resp, body := s.do(method, link, header...)
	if resp.StatusCode != want {
		s.t.Errorf("%s %s: %d %q, want %d", method, link, resp.StatusCode, body, want)
	}
	if want >= 400 && strings.Contains(body, "0123456789") {
		s.t.Errorf("%s %s: a refusal holds the bytes", method, link)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	link := s.put("a/b ü.html", "0123456789", records.Blob{ContentType: "text/html"})
	resp, body := s.do("GET", link)
	if resp.StatusCode != 200 || body != "0123456789" {
		t.Fatalf("%d %q", resp.StatusCode, body)
	}
	for name, want := range map[string]string{
		"Content-Type":            "text/html",
		"Content-Length":          "10",
		"Content-Disposition":     "attachment; filename*=utf-8''b%20%C3%BC.html",
		"Content-Security-Policy": "sandbox",
		"X-Content-Type-Options":  "nosniff",
		"Cache-Control":           "private, no-store",
		"Referrer-Policy":         "no-referrer",
		"Accept-Ranges":           "bytes",
		"Last-Modified":           start.Format(http.TimeFormat),
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	etag := resp.Header.Get("ETag")
	resp, body = s.do("HEAD", link)
	if resp.StatusCode != 200 || body != "" || resp.ContentLength != 10 || resp.Header.Get("ETag") != etag {
		t.Errorf("HEAD: %d %q %v", resp.StatusCode, body, resp.Header)
	}
	for _, tc := range []struct {
		header []string
		status int
		body   string
	}{
		{[]string{"Range: bytes=2-4"}, 206, "234"},
		{[]string{"Range: bytes=-3"}, 206, "789"},
		{[]string{"Range: bytes=20-"}, 416, ""},
		{[]string{"Range: bytes=2-4", "If-Range: " + etag}, 206, "234"},
		{[]string{"Range: bytes=2-4", `If-Range: "other"`}, 200, "0123456789"},
		{[]string{"If-None-Match: " + etag}, 304, ""},
	} {
		resp, body := s.do("GET", link, tc.header...)
		if resp.StatusCode != tc.status || tc.body != "" && body != tc.body {
			t.Errorf("%v: %d %q, want %d %q", tc.header, resp.StatusCode, body, tc.status, tc.body)
		}
	}
}

func TestServedNameAndType(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, tc := range []struct {
		name        string
		metadata    map[string]string
		disposition string
	}{
		{"plain.txt", nil, "attachment; filename=plain.txt"},
		{"id", map[string]string{"filename": `a "b".txt`}, `attachment; filename="a \"b\".txt"`},
		{"id2", map[string]string{"filename": "../../x\r\nSet-Cookie: a=b"}, "attachment; filename*=utf-8''x%0D%0ASet-Cookie%3A%20a%3Db"},
	} {
		resp, _ := s.do("GET", s.put(tc.name, "<script>", records.Blob{Metadata: tc.metadata}))
		if got := resp.Header.Get("Content-Disposition"); got != tc.disposition || resp.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.disposition)
		}
		if got := resp.Header.Get("Content-Type"); got != "application/octet-stream" { // never guessed
			t.Errorf("%s: type %q", tc.name, got)
		}
	}
}

func TestOneHour(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	link := s.put("a", "0123456789", records.Blob{})
	s.now.Store(3599)
	s.wantStatus(200, "GET", link)
	s.now.Store(3600)
	s.wantStatus(403, "GET", link)
	s.wantStatus(403, "HEAD", link)
	s.now.Store(3601)
	s.wantStatus(403, "GET", link)
}

func TestChangedLinksAreForbidden(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("b", "0123456789", records.Blob{})
	link := s.put("a #1.txt", "0123456789", records.Blob{})
	changed := []string{
		link + "&x=1", link + "=", link + "#", "/blobs/files/b" + link[strings.Index(link, "?"):],
		strings.Replace(link, "%23", "#", 1), strings.Replace(link, "/a%20", "/%61%20", 1), "/blobs/", "/blobs/files/b",
	}
	for i := len("/blobs/"); i < len(link); i += 7 {
		c := byte('A')
		if link[i] == c {
			c = 'B'
		}
		changed = append(changed, link[:i]+string(c)+link[i+1:])
	}
	for _, l := range changed {
		s.wantStatus(403, "GET", l)
	}
	resp, _ := s.do("GET", changed[0])
	if resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("refusal has headers %v", resp.Header)
	}
}

func TestDeletedOrReplacedBlobCannotBeReached(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	old := s.put("a", "0123456789", records.Blob{})
	fresh := s.put("a", "fresh", records.Blob{})
	s.wantStatus(404, "GET", old) // its bytes are still on the disk
	s.wantStatus(200, "GET", fresh)
	s.unit(func(u *unit.Unit) error {
		_, err := records.DeleteBlob(u, records.BlobKey{Container: "files", Name: "a"}, start)
		return err
	})
	s.wantStatus(404, "GET", fresh)
	s.wantStatus(404, "HEAD", fresh)
}

func TestMethods(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	link := s.put("a", "0123456789", records.Blob{})
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		resp, _ := s.do(method, link)
		if resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, Allow %q", method, resp.StatusCode, resp.Header.Get("Allow"))
		}
	}
}

func TestFailuresBehindTheHandler(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	link := s.put("a", "0123456789", records.Blob{})
	var told string
	s.handler.Fail = func(w http.ResponseWriter, _ *http.Request, status int, detail string) {
		told = detail
		w.WriteHeader(status)
	}
	s.handler.Open = func(context.Context, string) (io.ReadSeekCloser, error) { return nil, errors.New("secret path") }
	s.wantStatus(500, "GET", link)
	if told == "" || strings.Contains(told, "secret") {
		t.Errorf("the client is told %q", told)
	}
	s.handler.Snapshot = func() (store.Snapshot, error) { return nil, store.ErrClosed }
	s.wantStatus(500, "GET", link)
}
