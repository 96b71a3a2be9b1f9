package perdure_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth/login"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/internal/jetstream/natstest"
	"github.com/perdure/perdure/perduretest"
	"github.com/perdure/perdure/queue"
	"github.com/perdure/perdure/vault"
)

var (
	apiKey   = vault.Secret("payments-key")
	otherKey = vault.Secret("other-key")
)

type keyIn struct {
	Key string `bind:"vault:payments-key"`
}

type keyOut struct {
	Body struct {
		Bound, Called string
	} `body:""`
}

// startVault starts an app whose functions use a secret.
func startVault(t *testing.T, data string, change func(*perdure.Config)) *perdure.App {
	t.Helper()
	config := perdure.Config{
		Data: data, Listen: "localhost:0", Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Vault: &vault.Config{Grants: []vault.Grant{{Member: "subject:self", Role: "secrets-officer", Name: "payments-*"}}},
	}
	if change != nil {
		change(&config)
	}
	app := perdure.New(config)
	app.Add(perdure.HTTP("GET /key", func(ctx context.Context, in *keyIn) (*keyOut, error) {
		out := &keyOut{}
		out.Body.Bound = in.Key
		var err error
		out.Body.Called, err = apiKey.Get(ctx)
		return out, err
	}), perdure.HTTP("GET /other", func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		_, err := otherKey.Get(ctx)
		return nil, err
	}))
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Stop(context.Background()) })
	return app
}

func getKey(t *testing.T, app *perdure.App, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + app.Addr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, readAll(t, resp)
}

func TestFunctionsUseSecrets(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	app := startVault(t, data, nil)
	if status, body := getKey(t, app, "/key"); status != http.StatusInternalServerError {
		t.Errorf("before the secret is there: %d %s", status, body)
	}
	for _, value := range []string{"one", "two"} { // a change counts at once
		if _, err := app.Vault().Set(t.Context(), apiKey, value); err != nil {
			t.Fatal(err)
		}
		if status, body := getKey(t, app, "/key"); status != http.StatusOK || body != `{"Bound":"`+value+`","Called":"`+value+`"}`+"\n" {
			t.Errorf("%d %s", status, body)
		}
	}
	if status, body := getKey(t, app, "/other"); status != http.StatusInternalServerError {
		t.Errorf("a secret that the app may not get: %d %s", status, body)
	}
	if _, err := app.Vault().Value(t.Context(), otherKey); !errors.Is(err, vault.ErrForbidden) {
		t.Errorf("a secret that the app may not get: %v", err)
	}
	if _, err := apiKey.Get(t.Context()); !errors.Is(err, perdure.ErrNoUnit) {
		t.Errorf("outside of a function: %v", err)
	}
	if err := app.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	app = startVault(t, data, nil)
	if value, err := app.Vault().Value(t.Context(), apiKey); err != nil || value != "two" {
		t.Errorf("after a new start: %q, %v", value, err)
	}
}

func TestSecretsWithoutVault(t *testing.T) {
	t.Parallel()
	app := perdure.New(perdure.Config{Data: filepath.Join(t.TempDir(), "data"), Listen: "localhost:0", Logger: slog.New(slog.DiscardHandler)})
	app.Add(perdure.HTTP("GET /key", func(context.Context, *keyIn) (*keyOut, error) { return nil, nil }))
	if err := app.Start(t.Context()); !errors.Is(err, perdure.ErrConfig) {
		_ = app.Stop(context.Background())
		t.Errorf("%v, want ErrConfig", err)
	}
}

// What ends is told 30, 7 and 1 days before, once each.
func TestOnExpiring(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	var told atomic.Int32
	days := make(chan int, 10)
	app := perdure.New(perdure.Config{
		Store: "memory:", Logger: slog.New(slog.DiscardHandler),
		Vault: &vault.Config{Grants: []vault.Grant{{Member: "subject:self", Role: "administrator"}}},
	})
	app.Add(perdure.OnExpiring(func(_ context.Context, in *struct {
		Event vault.Expiring `body:""`
	}) (*struct{}, error) {
		told.Add(1)
		days <- in.Event.Days
		if in.Event.Name != "payments-key" || in.Event.Kind != "secrets" || in.Event.Reason != vault.ReasonEnds {
			t.Errorf("%+v", in.Event)
		}
		return nil, nil
	}))
	if err := app.Start(clock.With(t.Context(), c)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Stop(context.Background()) })
	expires := c.Now().Add(31 * 24 * time.Hour)
	if _, err := app.Vault().SetUntil(t.Context(), apiKey, "one", expires); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{30, 7, 1} {
		c.AdvanceTo(expires.Add(-time.Duration(want)*24*time.Hour - time.Minute))
		if err := app.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Advance(2 * time.Minute)
		if got := <-days; got != want {
			t.Errorf("told %d days before, want %d", got, want)
		}
	}
	if n := told.Load(); n != 3 {
		t.Errorf("told %d times", n)
	}
}

// Settings name secrets: what they are is read when it is needed, and a new one counts at once.
func TestWebhookSecretOfVault(t *testing.T) {
	t.Parallel()
	signatures := make(chan [2]string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id, at := r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp")
		want, err := perdure.SignWebhook(webhookSecret, id, at, string(body))
		if err != nil {
			t.Error(err)
		}
		signatures <- [2]string{r.Header.Get("Webhook-Signature"), want}
	}))
	t.Cleanup(server.Close)
	q := queue.Of[job]("jobs")
	w := newWorld(t)
	w.config.Vault = &vault.Config{Grants: []vault.Grant{{Member: "subject:self", Role: "secrets-officer"}}}
	w.config.DeadLetterWebhook = perdure.DeadLetterWebhook{URL: server.URL, Secret: "vault:hook-secret", AllowPrivate: true}
	r := w.start(deadEnd(q))
	r.unit(func(ctx context.Context) error { return q.Send(ctx, job{}) })
	r.settle()
	if len(signatures) > 0 {
		t.Error("signed by a secret that is not there")
	}
	if _, err := r.Vault().Set(t.Context(), vault.Secret("hook-secret"), webhookSecret); err != nil {
		t.Fatal(err)
	}
	r.advance(5 * time.Second)
	if got := get(t, signatures); got[0] != got[1] {
		t.Errorf("signature %q, want %q", got[0], got[1])
	}
}

func TestSettingsNameSecretsOfNoVault(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*perdure.Config){
		"DeadLetterWebhook.Secret": func(c *perdure.Config) {
			c.DeadLetterWebhook = perdure.DeadLetterWebhook{URL: "https://example.com/", Secret: "vault:hook-secret"}
		},
		"Login.ClientSecret": func(c *perdure.Config) {
			c.Login = &login.Config{Issuer: "https://example.com/", ClientID: "x", ClientSecret: "vault:client-secret"}
		},
		`Queues["jobs"]`: func(c *perdure.Config) {
			c.Queues = map[string]string{"jobs": "nats://app:vault:nats-password@localhost/jobs"}
		},
	} {
		w := newWorld(t)
		change(&w.config)
		if text := w.refuse(deadEnd(queue.Of[job]("jobs"))); !strings.Contains(text, field) || !strings.Contains(text, "Config.Vault") {
			t.Errorf("%s: %s", field, text)
		}
	}
}

// A password for NATS comes from the vault for each connection.
func TestNATSPasswordOfVault(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, func(o *natstest.Options) { o.Username, o.Password = "app", "right" })
	c := perdure.Config{
		Queues: map[string]string{"jobs": "nats://app:vault:nats-password@" + server.Host() + "/jobs?stream=JOBS"},
		Vault:  &vault.Config{Grants: []vault.Grant{{Member: "subject:self", Role: "secrets-officer"}}},
		Logger: slog.New(slog.DiscardHandler),
	}
	app := perduretest.Start(t, c, jobParts()...)
	for _, password := range []string{"wrong", "right"} {
		if _, err := app.Vault().Set(t.Context(), vault.Secret("nats-password"), password); err != nil {
			t.Fatal(err)
		}
	}
	app.Advance(time.Minute)
	sendJobs(app, "a", 1)
	app.Advance(time.Minute)
	wantSum(t, app, "a", 1)
}

// A right that is taken from the app counts at once, also for what the app remembers.
func TestOwnRightIsTakenAway(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	app := startVault(t, data, nil)
	if _, err := app.Vault().Set(t.Context(), apiKey, "one"); err != nil {
		t.Fatal(err)
	}
	if value, err := app.Vault().Value(t.Context(), apiKey); err != nil || value != "one" {
		t.Fatalf("%q, %v", value, err)
	}
	operator := control.NewClient(data)
	var grants struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	if err := operator.Do(t.Context(), "GET", "vault/grants", nil, nil, &grants); err != nil || len(grants.Items) != 1 {
		t.Fatalf("%+v, %v", grants, err)
	}
	if err := operator.Do(t.Context(), "DELETE", "vault/grants/"+grants.Items[0].ID, nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Vault().Value(t.Context(), apiKey); !errors.Is(err, vault.ErrForbidden) {
		t.Errorf("after the right was taken away: %v", err)
	}
}

func TestVaultOfAppThatDoesNotRun(t *testing.T) {
	t.Parallel()
	client := perdure.New(perdure.Config{}).Vault()
	if _, err := client.Value(t.Context(), apiKey); !errors.Is(err, vault.ErrNoVault) {
		t.Error(err)
	}
	_, err := vault.Follow(t.Context(), client, apiKey, vault.Following[string]{Make: func(_ context.Context, s string) (string, error) { return s, nil }})
	if !errors.Is(err, vault.ErrNoVault) {
		t.Error(err)
	}
	if _, _, err := client.Encrypt(t.Context(), vault.Key("k"), vault.Cipher{}); !errors.Is(err, vault.ErrNoVault) {
		t.Error(err)
	}
}
