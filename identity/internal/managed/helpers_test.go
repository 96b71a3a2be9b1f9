package managed_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
	"github.com/perdure/perdure/identity/internal/managed"
)

const (
	api    = "https://orders.example/"
	secret = "the-secret-of-a-workload-1234"
)

// world is a directory with an identity, and the endpoints on a port of this machine.
type world struct {
	*directorytest.World
	endpoints *managed.Endpoints
	server    *httptest.Server
	admin     http.Handler
	log       *logged
	identity  *directory.ManagedIdentity
	other     *directory.ManagedIdentity // that the workload was not given
}

// logged is a log that can be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// peerOf is a stand-in for the operating system; nil is the real one.
func newWorld(t *testing.T, peerOf func(local, peer netip.AddrPort) (int, error)) *world {
	t.Helper()
	w := &world{World: directorytest.New(t), log: &logged{}}
	w.Env.Log = slog.New(slog.NewTextHandler(w.log, nil))
	nothing := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNotFound) })
	var err error
	w.endpoints, err = managed.New(w.Env, managed.Options{
		Mint: func(_ context.Context, m *directory.ManagedIdentity, audience string) (string, time.Time, error) {
			if !slices.Contains(m.Resources, audience) {
				return "", time.Time{}, &managed.RefusedError{Reason: "the identity may not have tokens for this API"}
			}
			return "token of " + m.Name, w.Now().Add(time.Hour), nil
		},
		Token: nothing, Keys: nothing, PeerUser: peerOf,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewServer(w.endpoints.TokenHandler())
	t.Cleanup(w.server.Close)
	w.Do(t, func(ctx context.Context) (err error) {
		w.identity, err = w.CreateManagedIdentity(ctx, directory.Command, &directory.ManagedIdentity{Name: "Orders", Resources: []string{api}})
		if err != nil {
			return err
		}
		w.other, err = w.CreateManagedIdentity(ctx, directory.Command, &directory.ManagedIdentity{Name: "Stock", Resources: []string{api}})
		return err
	})
	w.admin = w.endpoints.Workloads(w.server.URL+managed.PathToken, func(context.Context) (*directory.ManagedIdentity, error) { return w.identity, nil })
	return w
}

// digest is that of a secret.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// administer sends a request to the administration.
func (w *world) administer(t *testing.T, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	w.admin.ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
	return rec
}

// begin begins a workload of the test's own user.
func (w *world) begin(t *testing.T, identities ...string) {
	t.Helper()
	body, err := json.Marshal(managed.WorkloadRequest{Identities: identities, UserID: os.Getuid()})
	if err != nil {
		t.Fatal(err)
	}
	if rec := w.administer(t, "PUT", "/workloads/"+digest(secret), string(body)); rec.Code != http.StatusOK {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
}

// reply is an answer of the loopback endpoint.
type reply struct {
	AccessToken string `json:"access_token"`
	ExpiresOn   string `json:"expires_on"`
	Resource    string `json:"resource"`
	TokenType   string `json:"token_type"`
	ClientID    string `json:"client_id"`
	StatusCode  int    `json:"statusCode"`
	Message     string `json:"message"`

	status int
	header http.Header
}

// good is the query of a good request.
const good = "api-version=2019-08-01&resource=" + api

// ask sends a request with the secret. More changes it before it is sent.
func (w *world) ask(t *testing.T, query string, more ...func(*http.Request)) (got reply) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+managed.PathToken+"?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-IDENTITY-HEADER", secret)
	for _, change := range more {
		change(r)
	}
	res, err := w.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	got.status, got.header = res.StatusCode, res.Header
	return got
}

// want wants an answer without a token, in the shape of the protocol.
func (r reply) want(t *testing.T, name string, status int, message string) {
	t.Helper()
	if r.status != status || r.StatusCode != status || r.AccessToken != "" || !strings.Contains(r.Message, message) {
		t.Errorf("%s: %d %+v, want %d %q", name, r.status, r, status, message)
	}
	if r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: the answer may be kept: %v", name, r.header)
	}
}

// audited are the details of the entries of the audit log about somebody.
func (w *world) audited(t *testing.T, kind string) (details []string) {
	t.Helper()
	w.Do(t, func(ctx context.Context) error {
		details = nil
		l, err := w.AuditLog(ctx, directory.AuditFilter{Types: []string{kind}, Paging: directory.Paging{PerPage: 100}})
		for _, e := range l.Items {
			details = append(details, e.Detail)
		}
		return err
	})
	return details
}
