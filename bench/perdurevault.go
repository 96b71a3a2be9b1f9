package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/vault"
)

// perdureVaultVersion is what the requests to the vault ask for.
const perdureVaultVersion = "?api-version=7.6"

// servePerdureVaultName is the name under which the vault is served by a process of its own.
const servePerdureVaultName = "perdure-vault"

// perdureVaultConfig is an app that may do everything in its own vault.
func perdureVaultConfig(dir string) perdure.Config {
	return perdure.Config{
		Data: filepath.Join(dir, "perdure"), Listen: "localhost:0", Title: "Bench",
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Vault:  &vault.Config{Grants: []vault.Grant{{Member: "self", Role: "administrator"}}},
	}
}

// servePerdureVault serves a vault by HTTPS, with a token of the app itself.
func servePerdureVault(ctx context.Context, s serving) (*offer, error) {
	config := perdureVaultConfig(s.Dir)
	config.Identity = &identity.Config{Listen: "localhost:0"}
	config.Vault.Listen = "localhost:0"
	app := perdure.New(config)
	if err := app.Start(ctx); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = app.Stop(context.Background()) })
	var vaults struct {
		Items []struct{ URL string }
	}
	if err := control.NewClient(config.Data).Do(ctx, http.MethodGet, "vault/vaults", nil, nil, &vaults); err != nil {
		return nil, err
	}
	if len(vaults.Items) != 1 {
		return nil, fmt.Errorf("there are %d vaults", len(vaults.Items))
	}
	address, err := url.Parse(vaults.Items[0].URL)
	if err != nil {
		return nil, err
	}
	token, err := app.TokenSource(config.Vault.WithDefaults().Resource(address.Port())).Token()
	if err != nil {
		return nil, err
	}
	return &offer{TokenURL: vaults.Items[0].URL, Secret: token.AccessToken}, nil
}

// perdureVault is a vault of Perdure in a process of its own, as the clients of Azure Key Vault reach it.
type perdureVault struct {
	deps    deps
	process *process
	client  *vaultClient
}

func (e *perdureVault) open(ctx context.Context, dir string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(serving{Engine: servePerdureVaultName, Dir: dir})
	if err != nil {
		return err
	}
	if e.process, err = startProcess(dir, exec.Command(program, serveFlag, string(encoded))); err != nil {
		return err
	}
	var o offer
	err = e.process.awaitReady(ctx, func(context.Context) error {
		text, err := os.ReadFile(filepath.Join(dir, offerFile))
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &o)
	})
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(filepath.Join(dir, "perdure", "ca.pem"))
	if err != nil {
		return err
	}
	e.client, err = newVaultClient(o.TokenURL, authority, http.Header{"Authorization": {"Bearer " + o.Secret}})
	if err != nil || e.deps.workload != signed {
		return err
	}
	body := map[string]any{"kty": "EC", "crv": "P-256"}
	if e.deps.variant.Algorithm == "RS256" {
		body = map[string]any{"kty": "RSA", "key_size": 2048}
	}
	return e.client.do(ctx, http.MethodPost, "/keys/signer/create"+perdureVaultVersion, body, nil)
}

func (e *perdureVault) get(ctx context.Context, name string) (string, error) {
	var answer struct{ Value string }
	err := e.client.do(ctx, http.MethodGet, "/secrets/"+name+"/"+perdureVaultVersion, nil, &answer)
	return answer.Value, err
}

func (e *perdureVault) set(ctx context.Context, name, value string) error {
	return e.client.do(ctx, http.MethodPut, "/secrets/"+name+perdureVaultVersion, map[string]string{"value": value}, nil)
}

func (e *perdureVault) sign(ctx context.Context, digest []byte) ([]byte, error) {
	var answer struct{ Value string }
	body := map[string]string{"alg": e.deps.variant.Algorithm, "value": base64.RawURLEncoding.EncodeToString(digest)}
	if err := e.client.do(ctx, http.MethodPost, "/keys/signer/sign"+perdureVaultVersion, body, &answer); err != nil {
		return nil, err
	}
	return base64.RawURLEncoding.DecodeString(answer.Value)
}

func (e *perdureVault) public(ctx context.Context) (crypto.PublicKey, error) {
	var answer struct{ Key jsonKey }
	if err := e.client.do(ctx, http.MethodGet, "/keys/signer/"+perdureVaultVersion, nil, &answer); err != nil {
		return nil, err
	}
	return answer.Key.public()
}

func (e *perdureVault) server() int { return e.process.pid() }

func (e *perdureVault) close() error {
	if e.client != nil {
		e.client.client.CloseIdleConnections()
	}
	return e.process.stop(syscall.SIGTERM)
}

// jsonKey is a public key as a JWK (RFC 7517).
type jsonKey struct{ Kty, N, X, Y string }

func (k jsonKey) public() (crypto.PublicKey, error) {
	var errs [3]error
	decode := func(i int, text string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(text)
		errs[i] = err
		return b
	}
	n, x, y := decode(0, k.N), decode(1, k.X), decode(2, k.Y)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if k.Kty == "RSA" {
		const exponent = 65537
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: exponent}, nil
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
}

// perdureInProcess is a vault of Perdure as the functions of its app use it: by calls.
type perdureInProcess struct {
	deps deps
	app  *perdure.App
	jwk  jsonKey
}

func (e *perdureInProcess) open(ctx context.Context, dir string) error {
	config := perdureVaultConfig(dir)
	config.Vault.Grants[0].Member = "subject:self" // an app without a provider
	app := perdure.New(config)
	if err := app.Start(ctx); err != nil {
		return err
	}
	e.app = app
	if e.deps.workload != signed {
		return nil
	}
	body := map[string]any{"kty": "EC", "crv": "P-256"}
	if e.deps.variant.Algorithm == "RS256" {
		body = map[string]any{"kty": "RSA", "key_size": 2048}
	}
	var made struct{ Key jsonKey }
	path := "vault/items/default/keys/signer/create"
	err := control.NewClient(config.Data).Do(ctx, http.MethodPost, path, url.Values{"api-version": {"7.6"}}, body, &made)
	e.jwk = made.Key
	return err
}

// get reads a value as a function does: within a minute of its last reading it is remembered, unless it was changed.
func (e *perdureInProcess) get(ctx context.Context, name string) (string, error) {
	return e.app.Vault().Value(ctx, vault.Secret(name))
}

func (e *perdureInProcess) set(ctx context.Context, name, value string) error {
	_, err := e.app.Vault().Set(ctx, vault.Secret(name), value)
	return err
}

func (e *perdureInProcess) sign(ctx context.Context, digest []byte) ([]byte, error) {
	signature, _, err := e.app.Vault().Sign(ctx, vault.Key("signer"), e.deps.variant.Algorithm, digest)
	return signature, err
}

func (e *perdureInProcess) public(context.Context) (crypto.PublicKey, error) { return e.jwk.public() }

func (e *perdureInProcess) server() int { return 0 }

func (e *perdureInProcess) close() error {
	if e.app == nil {
		return nil
	}
	return e.app.Stop(context.Background())
}
