package perdure_test

import (
	"context"
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/keystore"

	_ "gocloud.dev/secrets/localsecrets" // a key management service in memory
)

// startSealed starts and stops an app that seals by a master key.
func startSealed(t *testing.T, data, masterKey string) error {
	t.Helper()
	app := perdure.New(perdure.Config{
		Data: data, MasterKey: masterKey, Listen: "localhost:0", Logger: slog.New(slog.DiscardHandler),
		Identity: &identity.Config{Issuer: "http://localhost:8080/"},
	})
	err := app.Start(t.Context())
	if err == nil {
		err = app.Stop(context.Background())
	}
	return err
}

func TestMasterKeyInEnvironment(t *testing.T) {
	const variable = "PERDURE_TEST_MASTER_KEY"
	data, master := filepath.Join(t.TempDir(), "data"), keystore.NewMaster()
	t.Setenv(variable, master.Reveal())
	if err := startSealed(t, data, "env:"+variable); err != nil {
		t.Fatal(err)
	}
	if v, ok := os.LookupEnv(variable); ok {
		t.Errorf("the variable is still there, with %d bytes", len(v))
	}
	if _, err := os.Stat(data + ".master-key"); !os.IsNotExist(err) {
		t.Errorf("a file was made: %v", err)
	}
	if err := startSealed(t, data, "env:"+variable); err == nil || !strings.Contains(err.Error(), variable) || !strings.Contains(err.Error(), "perdure vault master new") {
		t.Errorf("without the variable: %v", err)
	}
	t.Setenv(variable, keystore.NewMaster().Reveal())
	if err := startSealed(t, data, "env:"+variable); err == nil || strings.Contains(err.Error(), os.Getenv(variable)+"x") {
		t.Errorf("with another key: %v", err)
	}
}

func TestMasterKeyInService(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	other := "base64key://" + base64.URLEncoding.EncodeToString(make([]byte, 32))
	key := base64.URLEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	if err := startSealed(t, data, "base64key://"+key); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(data, keystore.KeptFile)); err != nil {
		t.Error(err)
	}
	if err := startSealed(t, data, "base64key://"+key); err != nil {
		t.Errorf("again: %v", err)
	}
	for _, bad := range []string{other, "nosuch://" + key} {
		if err := startSealed(t, data, bad); err == nil || strings.Contains(err.Error(), strings.TrimPrefix(bad, "base64key://")) || strings.Contains(err.Error(), key) {
			t.Errorf("another service: %v", err)
		}
	}
}
