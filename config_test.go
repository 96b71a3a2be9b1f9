package perdure_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/table"
)

func TestConfigIsRefusedWithFieldAndMend(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*perdure.Config)
		want   []string
	}{
		"listen without port":   {func(c *perdure.Config) { c.Listen = "localhost" }, []string{`Listen "localhost"`, "host:port", "localhost:8080"}},
		"named port":            {func(c *perdure.Config) { c.Listen = "localhost:http" }, []string{"Listen", "0 to 65535"}},
		"port too great":        {func(c *perdure.Config) { c.Listen = "localhost:65536" }, []string{"Listen", "0 to 65535"}},
		"all interfaces":        {func(c *perdure.Config) { c.Listen = ":8080" }, []string{`Listen ":8080"`, "loopback", "listen on localhost"}},
		"unspecified address":   {func(c *perdure.Config) { c.Listen = "0.0.0.0:8080" }, []string{"Listen", "loopback"}},
		"unspecified IPv6":      {func(c *perdure.Config) { c.Listen = "[::]:8080" }, []string{"Listen", "loopback"}},
		"outside address":       {func(c *perdure.Config) { c.Listen = "192.0.2.1:8080" }, []string{"Listen", "loopback"}},
		"outside name":          {func(c *perdure.Config) { c.Listen = "example.com:8080" }, []string{"Listen", "loopback"}},
		"name that looks local": {func(c *perdure.Config) { c.Listen = "localhost.example.com:80" }, []string{"Listen", "loopback"}},
		"no listener, no hosts": {func(c *perdure.Config) { c.Hosts = nil }, []string{"Hosts", "Listen is none", "app.example.com"}},
		"bad host":              {func(c *perdure.Config) { c.Hosts = []string{"https://example.com/"} }, []string{"Hosts", "https://example.com/"}},
		"bad origin":            {func(c *perdure.Config) { c.TrustedOrigins = []string{"example.com"} }, []string{"TrustedOrigins", "example.com"}},
		"unknown store":         {func(c *perdure.Config) { c.Store = "sqlite:x" }, []string{`Store "sqlite:x"`, "pebble:PATH or memory:"}},
		"store without path":    {func(c *perdure.Config) { c.Store = "pebble:" }, []string{"Store", "pebble:PATH"}},
		"memory with a path":    {func(c *perdure.Config) { c.Store = "memory:x" }, []string{"Store", "memory:"}},
		"negative activities":   {func(c *perdure.Config) { c.MaxActivities = -1 }, []string{"MaxActivities", "negative"}},
		"negative idle":         {func(c *perdure.Config) { c.MaxIdleInstances = -1 }, []string{"MaxIdleInstances", "negative"}},
		"negative shutdown":     {func(c *perdure.Config) { c.ShutdownTimeout = -1 }, []string{"ShutdownTimeout", "negative"}},
		"unknown blobs": {func(c *perdure.Config) {
			c.Store, c.Data, c.Blobs = "", t.TempDir(), "ftp://x"
		}, []string{"Blobs", `"ftp"`, "file:./data/blobs"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			test.change(&w.config)
			contains(t, w.refuse(perdure.Handle("GET /", http.NotFoundHandler())), test.want...)
		})
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Listen, w.config.Store = "8080", "redis:"
	message := w.refuse("a string", http.NotFoundHandler())
	contains(t, message, "Listen", "Store", "a string cannot be added", "http.HandlerFunc cannot be added", "perdure.HTTP", "Impl")
	if n := strings.Count(message, perdure.ErrConfig.Error()); n != 1 {
		t.Errorf("the message says %d times that it is about the configuration:\n%s", n, message)
	}
}

type (
	empty struct{}
	byID  struct {
		Item item `bind:"items/{id}"`
	}
)

func nothing[In any](context.Context, *In) (*empty, error) { return nil, nil }

func TestPartsAreRefusedWithFunctionFieldAndMend(t *testing.T) {
	t.Parallel()
	type unknownTable struct {
		Item item `bind:"itmes/{id}"`
	}
	type unknownName struct {
		Item item `bind:"items/{di}"`
	}
	type wrongType struct {
		Item string `bind:"items/{id}"`
	}
	type noTag struct {
		Item item `bind:"items/{id}"`
		Who  string
	}
	type inQuery struct {
		Page string `query:"page"`
	}
	type inPath struct {
		Name string `path:"name"`
	}
	event := durable.NewActivity[string, string]("act")
	impl := event.Impl(func(context.Context, string) (string, error) { return "", nil })
	for name, test := range map[string]struct {
		parts []perdure.Part
		want  []string
	}{
		"unknown resource": {
			[]perdure.Part{items, perdure.HTTP("GET /{id}", nothing[unknownTable], perdure.Named("getItem"))},
			[]string{"function getItem", "field Item", `"itmes"`, `did you mean "items"?`},
		},
		"unknown name": {
			[]perdure.Part{items, perdure.HTTP("GET /{id}", nothing[unknownName])},
			[]string{"function GET /{id}", "field Item", "{di}", `did you mean "id"?`},
		},
		"wrong type": {
			[]perdure.Part{items, perdure.HTTP("GET /{id}", nothing[wrongType])},
			[]string{"field Item", "not string"},
		},
		"no tag": {
			[]perdure.Part{items, perdure.HTTP("GET /{id}", nothing[noTag])},
			[]string{"field Who", "has no tag", `bind:"-"`},
		},
		"resource that was not added": {
			[]perdure.Part{perdure.HTTP("GET /{id}", nothing[byID])},
			[]string{"field Item", `"items"`, "there is none"},
		},
		"HTTP tag on an event": {
			[]perdure.Part{perdure.OnBlob(documents, "{id}", nothing[inQuery], perdure.FunctionName("onFile"))},
			[]string{"function onFile", "field Page", "HTTP functions only"},
		},
		"name that the pattern lacks": {
			[]perdure.Part{perdure.OnBlob(documents, "{id}", nothing[inPath])},
			[]string{"function blob/files/{id}", "field Name", "{name}"},
		},
		"bad blob pattern": {
			[]perdure.Part{perdure.OnBlob(documents, "/{id}", nothing[empty])},
			[]string{`pattern "/{id}"`, "relative path"},
		},
		"bad HTTP pattern": {
			[]perdure.Part{perdure.HTTP("get /x", nothing[empty])},
			[]string{`"get /x"`, "capitals"},
		},
		"bad pattern of a handler": {
			[]perdure.Part{perdure.Handle("GET", http.NotFoundHandler())},
			[]string{`Handle "GET"`},
		},
		"taken pattern": {
			[]perdure.Part{perdure.HTTP("GET /x", nothing[empty], perdure.Named("one")), perdure.HTTP("GET /x", nothing[empty], perdure.Named("two"))},
			[]string{"function two", "GET /x"},
		},
		"taken name": {
			[]perdure.Part{perdure.HTTP("GET /x", nothing[empty], perdure.Named("one")), perdure.HTTP("GET /y", nothing[empty], perdure.Named("one"))},
			[]string{"function one", "GET /x", "GET /y"},
		},
		"taken name of an event function": {
			[]perdure.Part{perdure.OnBlob(documents, "{id}", nothing[empty]), perdure.OnBlob(documents, "{id}", nothing[empty])},
			[]string{"blob/files/{id}", "taken"},
		},
		"NoUnit with a bound row": {
			[]perdure.Part{items, perdure.HTTP("GET /{id}", nothing[byID], perdure.NoUnit())},
			[]string{"GET /{id}", "drop NoUnit"},
		},
		"one name for two kinds": {
			[]perdure.Part{items, blob.Container("items")},
			[]string{`"items"`, "table", "container", "unique"},
		},
		"one name for two tables": {
			[]perdure.Part{items, table.Of[string]("items")},
			[]string{`"items"`, "unique"},
		},
		"bad resource name": {
			[]perdure.Part{blob.Container("my files")},
			[]string{`"my files"`, "a letter, then"},
		},
		"two implementations": {
			[]perdure.Part{impl, impl},
			[]string{`activity "act"`, "twice"},
		},
		"empty implementation": {
			[]perdure.Part{durable.Implementation{}},
			[]string{"empty Implementation"},
		},
		"nil": {
			[]perdure.Part{nil},
			[]string{"<nil> cannot be added"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contains(t, newWorld(t).refuse(test.parts...), test.want...)
		})
	}
}

func TestOneResourceMayBeAddedTwice(t *testing.T) {
	t.Parallel()
	newWorld(t).start(items, items, documents, perdure.OnBlob(documents, "{id}", nothing[empty]))
}

func TestConfigFromEnv(t *testing.T) {
	t.Setenv("PERDURE_LISTEN", "127.0.0.1:9000")
	t.Setenv("PERDURE_DATA", "/elsewhere")
	t.Setenv("PERDURE_DEV", "1")
	c := perdure.ConfigFromEnv(perdure.Config{Listen: "localhost:1", Data: "here", Title: "kept"})
	if c.Listen != "127.0.0.1:9000" || c.Data != "/elsewhere" || c.Title != "kept" || !c.Development {
		t.Errorf("got %+v", c)
	}
	t.Setenv("PERDURE_DEV", "0")
	t.Setenv("PERDURE_LISTEN", "")
	t.Setenv("PERDURE_DATA", "")
	if c := perdure.ConfigFromEnv(perdure.Config{Listen: "localhost:1", Data: "here"}); c.Listen != "localhost:1" || c.Data != "here" || c.Development {
		t.Errorf("empty variables changed %+v", c)
	}
}

// The zero configuration runs, apart from the place: everything in one folder.
func TestZeroConfig(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	app := perdure.New(perdure.Config{Logger: slog.New(slog.DiscardHandler)})
	app.Add(items, documents)
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := app.Unit(t.Context(), func(ctx context.Context) error {
		_, err := documents.Write(ctx, "n", strings.NewReader("bytes"))
		return errors.Join(err, items.Put(ctx, "k", &item{Count: 1}))
	})
	if err := errors.Join(err, app.Stop(t.Context())); err != nil {
		t.Fatal(err)
	}
	if app.Addr() != nil {
		t.Error("an app without functions listens")
	}
	if _, err := os.Stat(filepath.Join(folder, "perdure-data")); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 1 {
		t.Errorf("the working directory has %v, %v, want perdure-data alone", left, err)
	}
	info, err := os.Stat(filepath.Join(folder, "perdure-data"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v, want 0700", info.Mode(), err)
	}
}
