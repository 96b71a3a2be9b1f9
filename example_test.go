package perdure_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/table"
)

// Note is a row of the examples.
type Note struct {
	Text  string `json:"text"`
	Words int    `json:"words"`
}

var (
	Notes   = table.Of[Note]("notes")
	Letters = blob.Container("letters")
)

// startExample starts an app that keeps everything in memory.
func startExample(parts ...perdure.Part) (app *perdure.App, stop func()) {
	app = perdure.New(perdure.Config{
		Store: "memory:", Listen: "none", Hosts: []string{"example.com"}, Logger: slog.New(slog.DiscardHandler),
	})
	app.Add(parts...)
	if err := app.Start(context.Background()); err != nil {
		panic(err)
	}
	return app, func() {
		if err := app.Stop(context.Background()); err != nil {
			panic(err)
		}
	}
}

// send sends a request to an app and prints the answer.
func send(app *perdure.App, method, target, body string) {
	r := httptest.NewRequest(method, "http://example.com"+target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	app.Handler().ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprintln(w.Code, w.Body)))
}

type readIn struct {
	Note Note `bind:"notes/{id}"`
}

func readNote(_ context.Context, in *readIn) (*Note, error) { return &in.Note, nil }

type writeIn struct {
	ID   string `path:"id"`
	Note Note   `body:""`
}

type writeOut struct {
	Status int   `status:"201"`
	Note   *Note `bind:"notes/{id}"`
}

func writeNote(_ context.Context, in *writeIn) (*writeOut, error) {
	if in.Note.Text == "" {
		return nil, perdure.NewProblem(http.StatusUnprocessableEntity, "A note has a text.")
	}
	in.Note.Words = len(strings.Fields(in.Note.Text))
	return &writeOut{Note: &in.Note}, nil
}

// Functions whose rows are read and written by tags alone.
func Example() {
	app, stop := startExample(Notes,
		perdure.HTTP("PUT /notes/{id}", writeNote),
		perdure.HTTP("GET /notes/{id}", readNote),
	)
	defer stop()

	send(app, "PUT", "/notes/1", `{"text":"it lasts"}`)
	send(app, "GET", "/notes/1", "")
	send(app, "GET", "/notes/2", "")
	send(app, "PUT", "/notes/2", `{}`)
	// Output:
	// 201
	// 200 {"text":"it lasts","words":2}
	// 404 {"detail":"What the request names does not exist.","status":404,"title":"Not Found"}
	// 422 {"detail":"A note has a text.","status":422,"title":"Unprocessable Entity"}
}

// What a unit wrote before it failed was never there.
func ExampleApp_Unit() {
	app, stop := startExample(Notes)
	defer stop()
	ctx := context.Background()

	err := app.Unit(ctx, func(ctx context.Context) error {
		if err := Notes.Put(ctx, "1", &Note{Text: "draft"}); err != nil {
			return err
		}
		return errors.New("changed my mind")
	})
	fmt.Println(err)

	err = app.Unit(ctx, func(ctx context.Context) error {
		_, err := Notes.Get(ctx, "1")
		return err
	})
	fmt.Println(errors.Is(err, perdure.ErrNotFound))
	// Output:
	// changed my mind
	// true
}

type countIn struct {
	Name string `path:"name"`
	Text string `bind:"letters/{name}"`
}

type countOut struct {
	Note *Note `bind:"notes/{name}"`
}

// A blob's arrival triggers a function. What it writes and the end of the event commit
// together.
func ExampleOnBlob() {
	counted := make(chan int, 1)
	count := func(_ context.Context, in *countIn) (*countOut, error) {
		words := len(strings.Fields(in.Text))
		counted <- words
		return &countOut{&Note{Text: in.Text, Words: words}}, nil
	}
	app, stop := startExample(Notes, perdure.OnBlob(Letters, "{name}", count, perdure.FunctionName("count")))
	defer stop()

	err := app.Unit(context.Background(), func(ctx context.Context) error {
		_, err := Letters.Write(ctx, "first", strings.NewReader("a letter to you"))
		return err
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-counted, "words")
	// Output:
	// 4 words
}

// An event that its function cannot handle is kept with its cause.
func ExampleApp_DeadLetters() {
	given := make(chan perdure.DeadLetter, 1)
	app := perdure.New(perdure.Config{
		Store: "memory:", Logger: slog.New(slog.DiscardHandler),
		OnDeadLetter: func(l perdure.DeadLetter) { given <- l },
	})
	app.Add(perdure.OnBlob(Letters, "{name}", func(context.Context, *struct{}) (*struct{}, error) {
		return nil, perdure.Permanent(errors.New("nobody can read this"))
	}, perdure.FunctionName("read")))
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = app.Stop(ctx) }()

	err := app.Unit(ctx, func(ctx context.Context) error {
		_, err := Letters.Write(ctx, "scrawl", strings.NewReader("~~~"))
		return err
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	letter := <-given
	fmt.Println(letter.Function, letter.Cause, letter.Reason)
	fmt.Println(app.DeadLetters().Drop(ctx, letter.Function, letter.ID))
	// Output:
	// read permanent-error nobody can read this
	// <nil>
}

var (
	Answered = durable.NewEvent[string]("Answered")
	Ask      = durable.NewOrchestration[string, string]("Ask")
)

func ask(ctx *durable.Context, question string) (string, error) {
	answer, err := Answered.Wait(ctx, durable.Within(24*time.Hour))
	return question + " " + answer, err
}

// The client starts instances and waits for them, outside of units of work.
func ExampleApp_Durable() {
	app, stop := startExample(Ask.Impl(ask))
	defer stop()
	ctx := context.Background()

	id, err := Ask.StartWith(ctx, app.Durable(), "Who goes there?")
	if err == nil {
		err = Answered.RaiseWith(ctx, app.Durable(), id, "A friend.")
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(Ask.WaitWith(ctx, app.Durable(), id))
	// Output:
	// Who goes there? A friend. <nil>
}

// A mistake is found when the app starts, with what to do about it.
func ExampleApp_Start() {
	type in struct {
		Note Note `bind:"note/{id}"`
	}
	app := perdure.New(perdure.Config{Store: "memory:", Listen: "none", Hosts: []string{"example.com"}})
	app.Add(Notes, perdure.HTTP("GET /notes/{id}", func(context.Context, *in) (*Note, error) { return nil, nil }))
	err := app.Start(context.Background())
	fmt.Println(errors.Is(err, perdure.ErrConfig))
	fmt.Println(strings.Contains(err.Error(), `did you mean "notes"?`))
	// Output:
	// true
	// true
}
