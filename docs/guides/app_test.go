package guides_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perdure/perdure"
)

// startApp starts an app that lasts as long as the test.
func startApp(t *testing.T, config perdure.Config, parts ...perdure.Part) *perdure.App {
	t.Helper()
	config.Data, config.Store, config.Listen, config.Logger = t.TempDir(), "memory:", "localhost:0", slog.New(slog.DiscardHandler)
	app := perdure.New(config)
	app.Add(parts...)
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := app.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return app
}

// ask sends a request to an app and checks the answer.
func ask(t *testing.T, app *perdure.App, method, target, body string, status int, text string) {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = app.Addr().String()
	w := httptest.NewRecorder()
	app.Handler().ServeHTTP(w, r)
	if w.Code != status || !strings.Contains(w.Body.String(), text) {
		t.Errorf("%s %s: %d %s, want %d %s", method, target, w.Code, w.Body, status, text)
	}
}
