package guides_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/table"
)

// The resources that the guide speaks of.
var (
	files    = blob.Container("files")
	metadata = table.Of[FileMeta]("metadata")
)

// FileMeta is a row of the guide's table.
type FileMeta struct {
	Name     string `json:"name"`
	Approved bool   `json:"approved"`
	Note     string `json:"note"`
	Owner    string `json:"owner,omitempty"`
}

// Owner is a row of another table.
type Owner struct {
	Files int `json:"files"`
}

var owners = table.Of[Owner]("owners")

// Decision is a body of the guide.
type Decision struct {
	Approved bool `json:"approved"`
}

// What follows is in the guide, word for word.

type approveIn struct {
	FileID string    `path:"fileId"`
	Note   string    `query:"note"`
	Meta   *FileMeta `bind:"metadata/{fileId}"`
}

type approveOut struct {
	Status int       `status:"202"`
	Meta   *FileMeta `bind:"metadata/{fileId}"`
}

func approve(_ context.Context, in *approveIn) (*approveOut, error) {
	in.Meta.Approved, in.Meta.Note = true, in.Note
	return &approveOut{Meta: in.Meta}, nil
}

type searchIn struct {
	Text  string        `query:"text,required"`
	Limit int           `query:"limit" default:"20"`
	After *time.Time    `query:"after"`
	Tags  []string      `query:"tag"`
	Wait  time.Duration `header:"X-Wait" default:"5s"`
}

type sumIn struct {
	Numbers []int `json:"numbers"`
}

type sumOut struct {
	Sum int `json:"sum"`
}

func sum(_ context.Context, in *sumIn) (*sumOut, error) {
	out := &sumOut{}
	for _, n := range in.Numbers {
		out.Sum += n
	}
	return out, nil
}

type decideIn struct {
	FileID   string    `path:"fileId"`
	Decision *Decision `body:",optional"`
}

type addIn struct {
	File *perdure.Upload `body:"file"`
}

type addOut struct {
	Status   int       `status:"201"`
	Location string    `header:"Location"`
	Body     added     `body:""`
	Bytes    io.Reader `bind:"files/{out.Body.fileId}"`
	Meta     *FileMeta `bind:"metadata/{out.Body.fileId}"`
}

type added struct {
	FileID string `json:"fileId"`
}

func add(_ context.Context, in *addIn) (*addOut, error) {
	id := rand.Text()
	return &addOut{
		Location: "/api/file/" + id,
		Body:     added{id},
		Bytes:    in.File.Body,
		Meta:     &FileMeta{Name: in.File.Name},
	}, nil
}

type ownerIn struct {
	Owner *Owner    `bind:"owners/{meta.owner}"`
	Meta  *FileMeta `bind:"metadata/{fileId}"`
}

type moveIn struct {
	Found []table.Row[FileMeta] `bind:"metadata/inbox/*,limit=50"`
	Blobs []blob.Info           `bind:"files/inbox/*"`
}

type moveOut struct {
	Moved []*FileMeta      `bind:"metadata/by-name/{item.name}"`
	Count map[string]Owner `bind:"owners"`
}

func move(_ context.Context, in *moveIn) (*moveOut, error) {
	out := &moveOut{Count: map[string]Owner{}}
	for _, row := range in.Found {
		out.Moved = append(out.Moved, row.Value)
		count := out.Count[row.Value.Owner]
		count.Files++
		out.Count[row.Value.Owner] = count
	}
	return out, nil
}

type clockIn struct {
	From int `header:"Last-Event-ID"`
}

type clockOut struct {
	Events perdure.Events `body:""`
}

func clockTicks(ctx context.Context, in *clockIn) (*clockOut, error) {
	return &clockOut{func(yield func(perdure.ServerSentEvent, error) bool) {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for n := in.From + 1; ; n++ {
			event := perdure.ServerSentEvent{ID: strconv.Itoa(n), Event: "tick", Data: time.Now().Format(time.TimeOnly)}
			if !yield(event, nil) {
				return
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	}}, nil
}

type reportOut struct {
	Name string `header:"Content-Disposition"`
	Body []byte `body:"text/csv"`
}

func report(context.Context, *struct{}) (*reportOut, error) {
	return &reportOut{Name: `attachment; filename="report.csv"`, Body: []byte("a,b\n")}, nil
}

func decide(_ context.Context, in *decideIn) (*sumOut, error) {
	if in.Decision == nil {
		return nil, perdure.NewProblem(http.StatusConflict, "The decision is missing.")
	}
	return nil, errors.New("the disk is on fire")
}

// Here the guide's words end.

// search answers with what it was asked.
func search(_ context.Context, in *searchIn) (*map[string]any, error) {
	return &map[string]any{"text": in.Text, "limit": in.Limit, "tags": in.Tags, "wait": in.Wait.String(), "after": in.After}, nil
}

// downloadIn shows a blob.
type downloadIn struct {
	Bytes []byte `bind:"files/{fileId}"`
}

func download(_ context.Context, in *downloadIn) (*[]byte, error) { return &in.Bytes, nil }

// rowIn shows a row.
type rowIn struct {
	Meta FileMeta `bind:"metadata/{fileId}"`
}

func row(_ context.Context, in *rowIn) (*FileMeta, error) { return &in.Meta, nil }

// ownerOf shows the owner of a file.
func ownerOf(_ context.Context, in *ownerIn) (*Owner, error) { return in.Owner, nil }

// The Go blocks of the guide are in this file.
func TestGuideIsThisFile(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("bindings.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("bindings_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(guide, -1)
	if len(blocks) < 7 {
		t.Errorf("the guide has %d Go blocks", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(string(code), string(b[1])) {
			t.Errorf("not in this file:\n%s", b[1])
		}
	}
}

func TestGuide(t *testing.T) {
	t.Parallel()
	app := perdure.New(perdure.Config{Data: t.TempDir(), Store: "memory:", Listen: "localhost:0", Logger: slog.New(slog.DiscardHandler)})
	app.Add(files, metadata, owners,
		perdure.HTTP("GET /owner/{fileId}", ownerOf),
		perdure.HTTP("POST /move", move),
		perdure.HTTP("GET /clock", clockTicks),
		perdure.HTTP("POST /api/approve/{fileId}", approve),
		perdure.HTTP("GET /search", search),
		perdure.HTTP("POST /sum", sum),
		perdure.HTTP("POST /decide/{fileId}", decide),
		perdure.HTTP("POST /api/file/add", add),
		perdure.HTTP("GET /report", report),
		perdure.HTTP("GET /files/{fileId}", download),
		perdure.HTTP("GET /metadata/{fileId}", row),
	)
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Stop(context.Background()) })
	send := func(method, target, contentType, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		r.Host = app.Addr().String()
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		app.Handler().ServeHTTP(w, r)
		return w
	}
	want := func(w *httptest.ResponseRecorder, status int, text string) {
		t.Helper()
		if w.Code != status || !strings.Contains(w.Body.String(), text) {
			t.Errorf("got %d %s, want %d %s", w.Code, w.Body, status, text)
		}
	}

	w := send("POST", "/api/file/add", "multipart/form-data; boundary=b",
		"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"cat.png\"\r\n\r\nbytes\r\n--b--\r\n")
	want(w, 201, "fileId")
	var file added
	if err := json.Unmarshal(w.Body.Bytes(), &file); err != nil || w.Header().Get("Location") != "/api/file/"+file.FileID {
		t.Fatalf("added %s at %s, %v", w.Body, w.Header().Get("Location"), err)
	}
	want(send("GET", "/files/"+file.FileID, "", ""), 200, "bytes")
	want(send("POST", "/api/approve/"+file.FileID+"?note=fine", "", ""), 202, "")
	want(send("GET", "/metadata/"+file.FileID, "", ""), 200, `{"name":"cat.png","approved":true,"note":"fine"}`)
	want(send("POST", "/api/approve/unknown", "", ""), 404, `"status":404`)

	want(send("GET", "/search?text=a&tag=x&tag=y&limit=", "", ""), 200, `{"after":null,"limit":20,"tags":["x","y"],"text":"a","wait":"5s"}`)
	want(send("GET", "/search?limit=many", "", ""), 400, `"errors":[{"in":"query","name":"text","detail":"is needed"},{"in":"query","name":"limit","detail":"must be an integer"}]`)
	want(send("POST", "/sum", "application/json", `{"numbers":[1,2,3],"more":true}`), 200, `{"sum":6}`)
	want(send("POST", "/sum", "text/plain", `{}`), 415, "application/json")
	want(send("POST", "/decide/1", "", ""), 409, "The decision is missing.")
	want(send("POST", "/decide/1", "application/json", "{}"), 500, `"id":`)
	w = send("GET", "/report", "", "")
	want(w, 200, "a,b\n")
	if w.Header().Get("Content-Type") != "text/csv" || w.Header().Get("Content-Disposition") != `attachment; filename="report.csv"` {
		t.Errorf("report %v", w.Header())
	}
	want(send("GET", "/openapi.json", "", ""), 200, `"openapi":"3.1`)

	err := app.Unit(t.Context(), func(ctx context.Context) error {
		return errors.Join(
			metadata.Put(ctx, "inbox/1", &FileMeta{Name: "one", Owner: "ada"}),
			metadata.Put(ctx, "inbox/2", &FileMeta{Name: "two", Owner: "ada"}),
			metadata.Put(ctx, "3", &FileMeta{Name: "three", Owner: "ada"}),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	want(send("POST", "/move", "", ""), 204, "")
	want(send("GET", "/owner/3", "", ""), 200, `{"files":2}`)
	want(send("GET", "/owner/4", "", ""), 404, "")
	err = app.Unit(t.Context(), func(ctx context.Context) error {
		_, err := metadata.Get(ctx, "by-name/two")
		return err
	})
	if err != nil {
		t.Error(err)
	}

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+app.Addr().String()+"/clock", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Last-Event-ID", "41")
	stream, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	first := make([]byte, len("id: 42\nevent: tick\ndata: "))
	if _, err := io.ReadFull(stream.Body, first); err != nil || string(first) != "id: 42\nevent: tick\ndata: " {
		t.Errorf("events begin with %q, %v", first, err)
	}
}

// The error that the guide shows is the one that is given.
func TestGuideMistake(t *testing.T) {
	t.Parallel()
	type wrongIn struct {
		Meta *FileMeta `bind:"metdata/{fileId}"`
	}
	app := perdure.New(perdure.Config{Data: t.TempDir(), Store: "memory:", Listen: "localhost:0"})
	app.Add(files, metadata, perdure.HTTP("POST /api/approve/{fileId}", func(context.Context, *wrongIn) (*struct{}, error) { return nil, nil }))
	err := app.Start(t.Context())
	if err == nil {
		_ = app.Stop(t.Context())
		t.Fatal("the app starts")
	}
	guide, readErr := os.ReadFile("bindings.md")
	if readErr != nil {
		t.Fatal(readErr)
	}
	shown := regexp.MustCompile("(?s)```text\n(.*?)\n```").FindSubmatch(guide)
	if shown == nil || !strings.Contains(err.Error(), string(shown[1])) {
		t.Errorf("the error is %v\nthe guide shows %s", err, shown)
	}
}
