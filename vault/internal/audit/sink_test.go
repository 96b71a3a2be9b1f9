package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perdure/perdure/vault/internal/audit"
)

func TestWebhookSink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.noteMany(t, 1)
	c := w.head(t)
	status, got := http.StatusNoContent, []byte(nil)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			return // 200, which must not count
		}
		got, _ = io.ReadAll(r.Body)
		if status == http.StatusFound {
			rw.Header().Set("Location", "/elsewhere")
		}
		rw.WriteHeader(status)
	}))
	defer server.Close()
	sink := audit.Webhook{URL: server.URL + "/secret-path", Client: server.Client()}
	if err := sink.Send(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	read, err := audit.ParseCheckpoint(got)
	if err != nil || read.Verify(w.PublicKey()) != nil {
		t.Errorf("it got %s, %v", got, err)
	}
	for _, status = range []int{http.StatusFound, http.StatusForbidden, http.StatusInternalServerError} {
		if err := sink.Send(t.Context(), c); err == nil {
			t.Errorf("answered %d: no error", status)
		}
	}
	server.Close()
	if err := sink.Send(t.Context(), c); err == nil || strings.Contains(err.Error(), "secret-path") || strings.Contains(sink.Name(), "secret-path") {
		t.Errorf("an error that shows the URL, or none: %v", err)
	}
}

func TestLogSink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.noteMany(t, 1)
	var b bytes.Buffer
	if err := (audit.Logger{Log: slog.New(slog.NewJSONHandler(&b, nil))}).Send(t.Context(), w.head(t)); err != nil {
		t.Fatal(err)
	}
	var line struct{ Checkpoint string }
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	c, err := audit.ParseCheckpoint([]byte(line.Checkpoint))
	if err != nil || c.Verify(w.PublicKey()) != nil {
		t.Errorf("%s, %v", line.Checkpoint, err)
	}
}

func TestReadHead(t *testing.T) {
	t.Parallel()
	line := func(node string, position string) string {
		return `{"kind":"head","node":"` + node + `","position":` + position + `,"hash":"` + strings.Repeat("00", 32) +
			`","time":"2026-01-02T03:04:05Z","signature":"` + strings.Repeat("A", 86) + `=="}` + "\n"
	}
	for _, c := range []struct {
		name, text, node string
		want             uint64
	}{
		{"the furthest", line("aa", "1") + line("aa", "7") + line("aa", "3"), "", 7},
		{"of a node", line("aa", "1") + line("bb", "7"), "aa", 1},
		{"of several nodes", line("aa", "1") + line("bb", "7"), "", 0},
		{"cut off", line("aa", "1") + line("aa", "7")[:50], "", 1},
		{"empty", "", "", 0},
		{"of no node", line("zz", "1"), "", 0},
		{"of another node", line("aa", "1"), "bb", 0},
	} {
		got, err := audit.ReadHead(strings.NewReader(c.text), c.node)
		switch {
		case c.want == 0 && err == nil:
			t.Errorf("%s: %+v, want an error", c.name, got)
		case c.want > 0 && (err != nil || got.Position != c.want):
			t.Errorf("%s: %+v, %v, want position %d", c.name, got, err, c.want)
		}
	}
}

func TestPublicKeyAsText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, err := audit.ParsePublicKey(audit.FormatPublicKey(w.PublicKey()))
	if err != nil || !key.Equal(w.PublicKey()) {
		t.Errorf("%v, %v", key, err)
	}
	for _, text := range []string{"", "ed25519:", "ed25519:AAAA", "x:" + strings.Repeat("A", 43), "ed25519:" + strings.Repeat("!", 43)} {
		if _, err := audit.ParsePublicKey(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

// No text makes the readers of checkpoints and keys panic; what they read they write again.
func FuzzParseCheckpoint(f *testing.F) {
	c := &audit.Checkpoint{Kind: "head", Node: "00ff", Position: 3, Signature: make([]byte, ed25519.SignatureSize)}
	text, err := json.Marshal(c)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"kind":"head"}`))
	f.Add([]byte("ed25519:AAAA"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, _ = audit.ReadHead(bytes.NewReader(text), "")
		if key, err := audit.ParsePublicKey(string(text)); err == nil {
			if again, err := audit.ParsePublicKey(audit.FormatPublicKey(key)); err != nil || !again.Equal(key) {
				t.Fatalf("key %q", text)
			}
		}
		c, err := audit.ParseCheckpoint(text)
		if err != nil {
			return
		}
		_ = c.Verify(make(ed25519.PublicKey, ed25519.PublicKeySize))
		written, err := json.Marshal(c)
		if err != nil {
			return // a year that JSON's times do not have
		}
		if _, err := audit.ParseCheckpoint(written); err != nil && len(written) <= 4096 {
			t.Fatalf("%s is not read again: %v", written, err)
		}
	})
}
