package guides_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity"
)

// What follows is in the guide, word for word.

func ordersApp(config perdure.Config) *perdure.App {
	config.Title = "Orders"
	config.Identity = &identity.Config{
		API:   identity.API{Identifier: "https://orders.example.com", Name: "Orders"},
		Roles: []identity.Role{{Name: "clerk", Permissions: []string{"read:orders", "approve:orders"}}},
	}
	config.Policy = auth.Authenticated() // of what requires nothing in particular
	app := perdure.New(config)
	app.Add(
		perdure.HTTP("GET /orders", listOrders, perdure.Require(auth.Permission("read:orders"))),
		perdure.HTTP("GET /me", greet),
	)
	return app
}

// What follows is not.

type ordersOut struct {
	Body string `body:"text/plain"`
}

func listOrders(context.Context, *struct{}) (*ordersOut, error) { return &ordersOut{"no orders"}, nil }

func greet(_ context.Context, in *struct{ Who auth.Principal }) (*ordersOut, error) {
	return &ordersOut{"hello, " + in.Who.Name}, nil
}

func TestAppWithItsOwnSignIn(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	app := ordersApp(perdure.Config{Data: data, Listen: "localhost:0", Logger: slog.New(slog.DiscardHandler)})
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Stop(context.Background()) })
	get := func(path string, page bool) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+app.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if page {
			req.Header.Set("Accept", "text/html")
			req.Header.Set("Sec-Fetch-Dest", "document")
			req.Header.Set("Sec-Fetch-Mode", "navigate")
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, res.Header.Get("Location") + string(body)
	}
	for _, path := range []string{"/orders", "/me"} {
		if status, _ := get(path, false); status != http.StatusUnauthorized {
			t.Errorf("%s: %d, want 401", path, status)
		}
		if status, to := get(path, true); status != http.StatusFound || !strings.HasPrefix(to, "/login?") {
			t.Errorf("%s in a browser: %d %s", path, status, to)
		}
	}
	var discovered map[string]any
	_, text := get("/.well-known/openid-configuration", false)
	if err := json.Unmarshal([]byte(text), &discovered); err != nil || !strings.HasPrefix(discovered["issuer"].(string), "http://localhost:") {
		t.Errorf("%v: %s", err, text)
	}
	if _, err := os.Stat(data + ".master-key"); err != nil {
		t.Error(err)
	}
}
