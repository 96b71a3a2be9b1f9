package web_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/examples/fileapprover/web"
)

// file is a file as the HTTP interface shows it.
type file struct {
	FileID      string     `json:"fileId"`
	Name        string     `json:"name"`
	Size        int64      `json:"size"`
	ContentType string     `json:"contentType"`
	State       string     `json:"state"`
	Cause       string     `json:"cause,omitempty"`
	UploadedAt  time.Time  `json:"uploadedAt"`
	UploadedBy  *person    `json:"uploadedBy,omitempty"`
	AnalyzedAt  *time.Time `json:"analyzedAt,omitempty"`
	InstanceID  string     `json:"instanceId"`
	Metadata    []entry    `json:"metadata,omitempty"`

	body     []byte
	comments []string
}

type person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type entry struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// fake is the file approver's HTTP interface in memory, with the page in front
// of it. Its analysis ends when a test says so.
type fake struct {
	t      *testing.T
	server *httptest.Server

	hold chan struct{} // when there is one, uploads are not read until it is closed

	mu        sync.Mutex
	files     []*file  // newest last
	down      bool     // answer everything but the page with 503
	overtaken bool     // answer every decision with 409
	may       []string // permissions of who is signed in
	signedOut bool     // answer everything below /api/ with 401
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, may: []string{"read:files", "upload:files", "approve:uploads", "approve:downloads"}}
	mux := http.NewServeMux()
	mux.Handle("/", web.Handler())
	mux.HandleFunc("POST /api/file/add", f.add)
	mux.HandleFunc("GET /api/me", f.me)
	mux.HandleFunc("GET /api/file/{id}", f.get)
	mux.HandleFunc("GET /api/files", f.list)
	mux.HandleFunc("POST /api/approve/{id}", f.approveUpload)
	mux.HandleFunc("POST /api/approve/download/{id}", f.approveDownload)
	mux.HandleFunc("GET /api/download/{id}", f.download)
	mux.HandleFunc("GET /api/thumbnail/{id}", f.thumbnail)
	mux.HandleFunc("GET /bytes/{id}", f.bytes)
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, "<p id=login>back to %s</p>", html.EscapeString(r.FormValue("return_to")))
	})
	guard := http.NewCrossOriginProtection()
	f.server = httptest.NewServer(guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.isDown() && r.URL.Path != "/" {
			problem(w, http.StatusServiceUnavailable, "The store is being restored.")
			return
		}
		if f.isSignedOut() && strings.HasPrefix(r.URL.Path, "/api/") {
			problem(w, http.StatusUnauthorized, "A token is needed.")
			return
		}
		mux.ServeHTTP(w, r)
	})))
	t.Cleanup(func() {
		if f.hold != nil {
			close(f.hold)
		}
		f.server.CloseClientConnections()
		f.server.Close()
	})
	return f
}

// change changes the newest file.
func (f *fake) change(change func(*file)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.files[len(f.files)-1])
}

// put adds a file in some state.
func (f *fake) put(add file) {
	f.mu.Lock()
	defer f.mu.Unlock()
	add.FileID = "f" + strconv.Itoa(len(f.files)+1)
	add.InstanceID = "ProcessFile:" + add.FileID
	if add.UploadedAt.IsZero() {
		add.UploadedAt = time.Now().Add(-time.Duration(len(f.files)) * time.Minute)
	}
	f.files = append(f.files, &add)
}

// newest returns a copy of the newest file.
func (f *fake) newest() file {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *f.files[len(f.files)-1]
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.files)
}

func (f *fake) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *fake) overtake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.overtaken = true
}

func (f *fake) isDown() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.down
}

func (f *fake) isSignedOut() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.signedOut
}

func (f *fake) signOut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signedOut = true
}

// allow says what who is signed in may do.
func (f *fake) allow(permissions ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.may = permissions
}

// analyse ends the analysis of the newest file.
func (f *fake) analyse(metadata ...entry) {
	f.change(func(x *file) {
		now := time.Now()
		x.State, x.AnalyzedAt, x.Metadata = "AwaitingDownloadApproval", &now, metadata
	})
}

func (f *fake) add(w http.ResponseWriter, r *http.Request) {
	if f.hold != nil {
		<-f.hold
	}
	part, header, err := r.FormFile("file")
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	body, err := io.ReadAll(part)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if bytes.HasPrefix(body, []byte("refuse me")) {
		problem(w, http.StatusRequestEntityTooLarge, "The file is larger than 64 MiB.")
		return
	}
	f.put(file{
		Name: header.Filename, Size: int64(len(body)), ContentType: http.DetectContentType(body),
		State: "AwaitingUploadApproval", UploadedAt: time.Now(), body: body,
	})
	answer(w, http.StatusCreated, map[string]string{"fileId": f.newest().FileID})
}

func (f *fake) me(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"id": "me", "name": "Ada <b>Approver</b>", "roles": []string{"approver"}, "permissions": f.may})
}

func (f *fake) find(w http.ResponseWriter, r *http.Request) *file {
	for _, x := range f.files {
		if x.FileID == r.PathValue("id") {
			return x
		}
	}
	problem(w, http.StatusNotFound, "No such file.")
	return nil
}

func (f *fake) get(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x := f.find(w, r); x != nil {
		answer(w, http.StatusOK, x)
	}
}

func (f *fake) list(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	limit, _ := strconv.Atoi(r.FormValue("limit"))
	start := len(f.files) - 1
	if after := r.FormValue("after"); after != "" {
		start, _ = strconv.Atoi(after)
	}
	page := struct {
		Files []*file `json:"files"`
		Next  string  `json:"next"`
	}{Files: []*file{}}
	i := start
	for ; i >= 0 && len(page.Files) < limit; i-- {
		page.Files = append(page.Files, f.files[i])
	}
	if i >= 0 {
		page.Next = strconv.Itoa(i)
	}
	answer(w, http.StatusOK, page)
}

func (f *fake) approveUpload(w http.ResponseWriter, r *http.Request) {
	f.decide(w, r, "AwaitingUploadApproval", "Analyzing")
}

func (f *fake) approveDownload(w http.ResponseWriter, r *http.Request) {
	f.decide(w, r, "AwaitingDownloadApproval", "Available")
}

func (f *fake) decide(w http.ResponseWriter, r *http.Request, from, to string) {
	var d struct {
		Approved bool
		Comment  string
	}
	if err := json.NewDecoder(r.Body).Decode(&d); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.find(w, r)
	switch {
	case x == nil:
		return
	case f.overtaken || x.State != from:
		problem(w, http.StatusConflict, "This file was already decided on by somebody else.")
		return
	case d.Approved:
		x.State = to
	default:
		x.State, x.Cause = "Rejected", d.Comment
	}
	x.comments = append(x.comments, d.Comment)
	answer(w, http.StatusAccepted, struct{}{})
}

func (f *fake) download(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.find(w, r)
	if x == nil {
		return
	}
	if x.State != "Available" {
		problem(w, http.StatusForbidden, "The download is not approved.")
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"fileId": x.FileID, "metadata": x.Metadata,
		"downloadUrl": f.server.URL + "/bytes/" + x.FileID,
		"expiresAt":   time.Now().Add(time.Hour),
	})
}

func (f *fake) bytes(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x := f.find(w, r); x != nil {
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", x.Name))
		w.Header().Set("Content-Security-Policy", "sandbox")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(x.body)
	}
}

func (f *fake) thumbnail(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x := f.find(w, r); x != nil {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(picture(96))
	}
}

// picture returns a PNG image with a colour gradient.
func picture(side int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			img.Set(x, y, color.RGBA{uint8(60 + x*150/side), uint8(110 + y*90/side), 190, 255})
		}
	}
	var b bytes.Buffer
	_ = png.Encode(&b, img) // into memory: cannot fail
	return b.Bytes()
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the page has gone: the test ends
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "detail": detail, "status": status})
}
