package certs_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/certs"
	"github.com/perdure/perdure/internal/clock"
)

// Files are read again when they have changed, at most once a second, and the last good pair stays.
func TestFileCertificate(t *testing.T) {
	t.Parallel()
	ca := root(t, "root")
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if _, err := certs.FileCertificate(certFile, keyFile, nil, nil); err == nil || !strings.Contains(err.Error(), "tls.crt") {
		t.Errorf("without files: %v", err)
	}
	modified := now
	write := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		modified = modified.Add(time.Second)
		if err := os.Chtimes(file, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	cert, key := ca.issue(t, ecKey(t), "first.test")
	write(certFile, cert)
	write(keyFile, "nothing")
	if _, err := certs.FileCertificate(certFile, keyFile, nil, nil); err == nil || !strings.Contains(err.Error(), "tls.key") {
		t.Errorf("with a bad key: %v", err)
	}
	write(keyFile, key)
	var log bytes.Buffer
	manual := clock.NewManual(now)
	get, err := certs.FileCertificate(certFile, keyFile, manual, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	expect := func(when, name string, logged int) {
		t.Helper()
		pair, err := get(nil)
		if err != nil || pair.Leaf.DNSNames[0] != name {
			t.Errorf("%s: %v, %v", when, pair.Leaf.DNSNames, err)
		}
		if n := strings.Count(log.String(), "\n"); n != logged {
			t.Errorf("%s: %d lines were logged, want %d: %s", when, n, logged, log.String())
		}
	}
	expect("at first", "first.test", 0)
	manual.Advance(time.Minute)
	expect("without a change", "first.test", 0)
	cert, second := ca.issue(t, ecKey(t), "second.test")
	write(certFile, cert) // and the key comes later
	expect("within a second", "first.test", 0)
	manual.Advance(time.Second)
	expect("with half of the new pair", "first.test", 1)
	manual.Advance(time.Second)
	expect("with half of the new pair, again", "first.test", 1)
	write(keyFile, second)
	manual.Advance(time.Second)
	expect("with the new pair", "second.test", 2)
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	manual.Advance(time.Second)
	expect("without a key", "second.test", 3)
	write(keyFile, second)
	manual.Advance(time.Second)
	expect("with the key again", "second.test", 4)
	if strings.Contains(log.String(), "PRIVATE") {
		t.Error("the key is in the log")
	}
}
