package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/examples/fileapprover/analysis"
)

func TestUploadRawAndMultipart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	raw := s.upload("hello")
	body, contentType := form(t, "file", "hello.txt", "hello")
	multi := s.added(s.do("POST", "/api/file/add", body, "Content-Type", contentType))
	for id, name := range map[string]string{raw: "", multi: "hello.txt"} {
		f := s.file(id)
		if f.FileID != id || f.InstanceID != id || f.Name != name || f.Size != 5 || f.State != AwaitingUploadApproval ||
			!f.UploadedAt.Equal(noon) || f.ContentType != "" {
			t.Errorf("file %+v", f)
		}
		var doc map[string]any
		s.get("/api/file/"+id).into(t, 200, &doc)
		for _, name := range []string{"fileId", "state", "uploadedAt", "instanceId"} {
			if doc[name] == nil {
				t.Errorf("no %s in %v", name, doc)
			}
		}
		for _, name := range []string{"uploadDecidedAt", "analyzedAt", "downloadDecidedAt", "closedAt", "cause"} {
			if doc[name] != nil {
				t.Errorf("%s before it happened: %v", name, doc)
			}
		}
	}
	s.do("POST", "/api/file/add", "x", "Content-Type", "multipart/form-data").problem(t, http.StatusUnsupportedMediaType)
	body, contentType = form(t, "other", "hello.txt", "hello")
	if detail := s.do("POST", "/api/file/add", body, "Content-Type", contentType).problem(t, http.StatusBadRequest); !strings.Contains(detail, `"file"`) {
		t.Errorf("detail %q", detail)
	}
	cut := body[:len(body)/2]
	s.do("POST", "/api/file/add", cut, "Content-Type", contentType).problem(t, http.StatusBadRequest)
}

// zeros is a stream of any length.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func stream(size int64) io.Reader { return io.LimitReader(zeros{}, size) }

const limit = 64 << 20

func TestUploadHasALimit(t *testing.T) {
	t.Parallel()
	s := newLasting(t)
	// Announced: refused before a byte of it is read.
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /api/file/add HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer uploader\r\nContent-Length: %d\r\n\r\n", strings.TrimPrefix(s.url, "http://"), limit+1)
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, len("HTTP/1.1 413"))
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 413" {
		t.Errorf("announced too large: %q, %v", head, err)
	}

	if testing.Short() {
		return
	}
	a, err := s.send("POST", "/api/file/add", stream(limit+1)) // chunked
	if err != nil {
		t.Fatal(err)
	}
	if detail := a.problem(t, http.StatusRequestEntityTooLarge); !strings.Contains(detail, "64 MiB") {
		t.Errorf("detail %q", detail)
	}
	begin, contentType := form(t, "file", "big", "")
	begin, end := begin[:strings.Index(begin, "\r\n\r\n")+4], begin[strings.Index(begin, "\r\n\r\n")+4:]
	a, err = s.send("POST", "/api/file/add", io.MultiReader(strings.NewReader(begin), stream(limit+1), strings.NewReader(end)), "Content-Type", contentType)
	if err != nil {
		t.Fatal(err)
	}
	a.problem(t, http.StatusRequestEntityTooLarge)
	if left := s.bytesOnDisk(); left != 0 {
		t.Errorf("%d bytes of refused uploads are left", left)
	}
	a, err = s.send("POST", "/api/file/add", stream(limit))
	if err != nil {
		t.Fatal(err)
	}
	if f := s.file(s.added(a)); f.Size != limit {
		t.Errorf("size %d", f.Size)
	}
}

func TestEmptyFileIsAcceptedAndExplained(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	raw := s.upload("")
	body, contentType := form(t, "file", "empty.png", "")
	multi := s.added(s.do("POST", "/api/file/add", body, "Content-Type", contentType))
	for _, id := range []string{raw, multi} {
		s.decide("/api/approve/"+id, "")
		f := s.state(id, AwaitingDownloadApproval)
		got := values(f.Metadata)
		if f.Size != 0 || got["ContentLength"] != "0" || !strings.Contains(strings.ToLower(fmt.Sprint(got)), "empty") {
			t.Errorf("metadata %v", got)
		}
		s.decide("/api/approve/download/"+id, "")
		link := s.download(id).DownloadURL
		if a := s.get(link); a.status != 200 || a.body != "" {
			t.Errorf("download: %+v", a)
		}
	}
}

// What a sender says about a file is not believed, and never reaches a browser.
func TestDeclaredTypeIsNotTrusted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const page = "<!DOCTYPE html><html><script>alert(1)</script></html>"
	declarations := []string{"image/png", "text/html", "application/x-www-form-urlencoded", "application/json", "nonsense", ""}
	if testing.Short() {
		declarations = declarations[:2]
	}
	for _, declared := range declarations {
		id := s.added(s.do("POST", "/api/file/add", page, "Content-Type", declared))
		s.decide("/api/approve/"+id, "")
		f := s.state(id, AwaitingDownloadApproval)
		if !strings.HasPrefix(f.ContentType, "text/html") {
			t.Errorf("declared %q: found %q", declared, f.ContentType)
		}
		s.decide("/api/approve/download/"+id, "")
		a := s.get(s.download(id).DownloadURL)
		if a.body != page || a.header.Get("Content-Type") != "application/octet-stream" ||
			!strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") ||
			a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Content-Security-Policy") != "sandbox" ||
			!strings.Contains(a.header.Get("Cache-Control"), "private") {
			t.Errorf("declared %q: served with %v", declared, a.header)
		}
	}
}

// A file that is called what it is not is explained.
func TestMislabelledFileIsExplained(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, tt := range []struct{ name, content, want string }{
		{"page.PNG", "<!DOCTYPE html><html></html>", "the name ends in .png, but the content is text/html; charset=utf-8"},
		{"picture.pdf", picture(t, 4, 3), "the name ends in .pdf, but the content is image/png"},
		{"picture.png", picture(t, 4, 3), ""},
		{"notes.txt", "<!DOCTYPE html><html></html>", ""},
		{"", "<!DOCTYPE html><html></html>", ""},
	} {
		body, contentType := form(t, "file", tt.name, tt.content)
		id := s.added(s.do("POST", "/api/file/add", body, "Content-Type", contentType))
		s.decide("/api/approve/"+id, "")
		got := ""
		for _, e := range s.state(id, AwaitingDownloadApproval).Metadata {
			if e.Name == analysis.Explanation && strings.HasPrefix(e.Value, "the name") {
				got = e.Value
			}
		}
		if got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestHostileFileNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, want := range map[string]string{
		"../../etc/passwd":            "passwd",
		`C:\windows\system32\cmd.exe`: "cmd.exe",
		"..":                          "",
		"<script>alert(1)</script>":   "script>", // up to the slash it is a folder
		`a"; filename="b.exe`:         `a"; filename="b.exe`,
		"line\r\nSet-Cookie: x=y":     "",
		"not UTF-8 \xff":              "not UTF-8 \uFFFD",
		"Übergröße 文件.pdf":            "Übergröße 文件.pdf",
		strings.Repeat("x", 9000):     strings.Repeat("x", 255),
	} {
		body, contentType := form(t, "file", name, "hello")
		a := s.do("POST", "/api/file/add", body, "Content-Type", contentType)
		if a.status != http.StatusCreated {
			t.Errorf("name %.40q: %d %.200s", name, a.status, a.body)
			continue
		}
		id := s.added(a)
		f := s.file(id)
		if want != "" && f.Name != want || strings.ContainsAny(f.Name, "/\r\n\x00") || len(f.Name) > 255 {
			t.Errorf("name %.40q became %.300q", name, f.Name)
		}
		if testing.Short() {
			continue
		}
		s.decide("/api/approve/"+id, "")
		s.state(id, AwaitingDownloadApproval)
		s.decide("/api/approve/download/"+id, "")
		res := s.get(s.download(id).DownloadURL)
		if disposition := res.header.Get("Content-Disposition"); res.body != "hello" || !strings.HasPrefix(disposition, "attachment") ||
			res.header.Get("Set-Cookie") != "" {
			t.Errorf("name %.40q: %v", name, res.header)
		}
	}
}

func TestUnknownIDsAre404(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	known := s.available("hello")
	for _, id := range []string{
		"none", "00000000-0000-0000-0000-000000000000", known + "x", strings.ToUpper(known) + "X", "%20", "%2F", "a%2Fb", "%2e%2e", "%2e", "%00", "%0A", "%ff",
		url.PathEscape(`"'<>\`), "%F0%9F%92%A9", "{fileId}", "*", strings.Repeat("x", 513), strings.Repeat("%2F", 3000), url.PathEscape("../" + known),
	} {
		for _, request := range []string{
			"GET /api/file/", "GET /api/download/", "GET /api/thumbnail/", "POST /api/approve/", "POST /api/approve/download/",
		} {
			method, path, _ := strings.Cut(request, " ")
			s.do(method, path+id, "").problem(t, http.StatusNotFound)
		}
	}
	// ".." written out is resolved by the server before it looks.
	for _, path := range []string{"/api/file/../none", "/api/file/..", "/api/download/../../x", "/api/file/", "/index.html"} {
		s.get(path).problem(t, http.StatusNotFound)
	}
}

func TestListPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	page := func(query string) (ids []string, next string) {
		t.Helper()
		var p struct {
			Files []json.RawMessage
			Next  *string
		}
		s.get("/api/files"+query).into(t, 200, &p)
		if p.Files == nil || p.Next == nil {
			t.Fatalf("a page without files or next: %+v", p)
		}
		for _, raw := range p.Files {
			var f File
			if err := json.Unmarshal(raw, &f); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, f.FileID)
		}
		return ids, *p.Next
	}
	if ids, next := page(""); len(ids) != 0 || next != "" {
		t.Errorf("empty list: %v %q", ids, next)
	}
	var want []string
	for i := range 7 {
		want = append(want, s.upload(fmt.Sprint("file ", i)))
	}
	slices.Reverse(want) // newest first
	if ids, next := page(""); !slices.Equal(ids, want) || next != "" {
		t.Errorf("whole list: %v %q", ids, next)
	}
	var got []string
	cursor := ""
	for range 4 {
		query := "?limit=2"
		if cursor != "" {
			query += "&after=" + url.QueryEscape(cursor)
		}
		ids, next := page(query)
		got = append(got, ids...)
		s.upload("comes in between") // what comes later moves nothing
		if cursor = next; cursor == "" {
			break
		}
	}
	if !slices.Equal(got, want) || cursor != "" {
		t.Errorf("pages %v, want %v", got, want)
	}
	for _, query := range []string{"?limit=0", "?limit=-1", "?limit=201", "?limit=x", "?limit=1.5", "?limit=99999999999999999999", "?limit=1&limit=2", "?after=!", "?after=" + strings.Repeat("A", 4000)} {
		s.get("/api/files"+query).problem(t, http.StatusBadRequest)
	}
	if ids, _ := page("?limit=200"); len(ids) < 7 {
		t.Errorf("%d files", len(ids))
	}
}

func TestPageAndDocument(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if a := s.get("/"); a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("page: %d %v", a.status, a.header)
	}
	if a := s.get("/healthz"); a.status != 200 {
		t.Errorf("health: %+v", a)
	}
	var doc struct{ Paths map[string]any }
	s.get("/openapi.json").into(t, 200, &doc)
	for _, path := range []string{
		"/api/file/add", "/api/file/{fileId}", "/api/files", "/api/approve/{fileId}", "/api/approve/download/{fileId}", "/api/download/{fileId}",
	} {
		if doc.Paths[path] == nil {
			t.Errorf("the document does not have %s", path)
		}
	}
	s.get("/api/files", "Host", "evil.example").problem(t, http.StatusMisdirectedRequest)
	s.do("POST", "/api/file/add", "x", "Origin", "https://evil.example").problem(t, http.StatusForbidden)
	var list bytes.Buffer
	list.WriteString(s.get("/api/files").body)
	if strings.Contains(list.String(), "fileId") {
		t.Error("a refused upload is in the list")
	}
}
