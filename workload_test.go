package perdure_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/control"
)

// Where others reach the app's port, workloads ask on one of their own, which has nothing else.
func TestWorkloadsOfExposedApp(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	provider := clerk
	provider.Demo, provider.Listen = nil, "localhost:0"
	c := perdure.Config{
		Data: filepath.Join(t.TempDir(), "data"), Listen: "0.0.0.0:0", Hosts: []string{"app.example.com"}, Identity: &provider,
		Logger: slog.New(slog.DiscardHandler), Policy: auth.Authenticated(),
	}
	app := perdure.New(c)
	app.Add(perdure.HTTP("GET /orders", func(context.Context, *struct{}) (*pong, error) { return &pong{}, nil }))
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Stop(context.Background()) })

	const secret = "the secret of a workload, 1234"
	sum := sha256.Sum256([]byte(secret))
	var begun struct{ Endpoint string }
	err := control.NewClient(c.Data).Do(t.Context(), "PUT", "identity/workloads/"+hex.EncodeToString(sum[:]), nil, map[string]any{"uid": os.Getuid()}, &begun)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(begun.Endpoint, "http://127.0.0.1:") || !strings.HasSuffix(begun.Endpoint, identity.TokenPath) || strings.Contains(begun.Endpoint, app.Addr().String()) {
		t.Fatalf("endpoint %q", begun.Endpoint)
	}
	ask := func(url, host string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", url+"?api-version=2019-08-01&resource=https://orders.example.com", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-IDENTITY-HEADER", secret)
		if host != "" {
			r.Host = host
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	if status, body := ask(begun.Endpoint, ""); status != http.StatusOK || !strings.Contains(body, "access_token") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := ask(begun.Endpoint, "evil.example"); status != http.StatusMisdirectedRequest {
		t.Errorf("CWE-350, a name that leads here: %d %s", status, body)
	}
	if status, body := ask(strings.TrimSuffix(begun.Endpoint, identity.TokenPath)+"/orders", ""); status != http.StatusNotFound {
		t.Errorf("another path: %d %s", status, body)
	}
}

// A function has tokens of the app itself, also while its own unit of work goes on.
func TestTokenSource(t *testing.T) {
	t.Parallel()
	provider := clerk
	c := perdure.Config{Data: filepath.Join(t.TempDir(), "data"), Title: "Orders", Listen: "localhost:0", Identity: &provider, Logger: slog.New(slog.DiscardHandler)}
	app := perdure.New(c)
	source := app.TokenSource("https://orders.example.com")
	app.Add(
		perdure.HTTP("GET /self", func(ctx context.Context, _ *struct{}) (*pong, error) {
			client := oauth2.NewClient(ctx, source)
			res, err := client.Get("http://" + app.Addr().String() + "/who")
			if err != nil {
				return nil, err
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			return &pong{string(b)}, err
		}, perdure.Require(auth.Anonymous())),
		perdure.HTTP("GET /who", func(_ context.Context, in *struct{ Who auth.Principal }) (*pong, error) {
			return &pong{in.Who.Subject}, nil
		}, perdure.Require(auth.Authenticated())),
	)
	if _, err := source.Token(); !errors.Is(err, perdure.ErrNotRunning) {
		t.Errorf("before the start: %v", err)
	}
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Stop(context.Background()) })
	res, err := http.Get("http://" + app.Addr().String() + "/self")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(b), "-") {
		t.Errorf("%d %s, want the id of the app's identity", res.StatusCode, b)
	}
	if _, err := app.TokenSource("https://nothing.example").Token(); err == nil {
		t.Error("a token for an API that is not there")
	}
	plain := perdure.New(perdure.Config{Data: filepath.Join(t.TempDir(), "data"), Logger: slog.New(slog.DiscardHandler)})
	if err := plain.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plain.Stop(context.Background()) })
	if _, err := plain.TokenSource("x").Token(); err == nil {
		t.Error("a token of an app without identities")
	}
}
