package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// openBaoVersion is what setup.sh builds.
const openBaoVersion = "v2.4.0"

func newOpenBao(d deps) (engine, facts, error) {
	program, err := findProgram("bao", "bao")
	if err != nil {
		return nil, facts{}, err
	}
	return &openBao{deps: d, program: program}, facts{
		version: openBaoVersion, store: "raft (bolt), one node", durability: "as shipped: log and store with fsync",
	}, nil
}

// openBao is its server with integrated storage, an audit device that writes a file, and TLS.
type openBao struct {
	deps    deps
	program string
	process *process
	client  *vaultClient
}

// auditFile has a line for each request and each answer.
const auditFile = "audit.log"

// openBaoConfig is for one node. The API cannot make audit devices unless that is allowed, so the file has it.
const openBaoConfig = `
ui = false
api_addr = "https://127.0.0.1:%[1]d"
cluster_addr = "https://127.0.0.1:%[2]d"
log_level = "error"
listener "tcp" {
  address = "127.0.0.1:%[1]d"
  cluster_address = "127.0.0.1:%[2]d"
  tls_cert_file = "%[3]s/tls.pem"
  tls_key_file = "%[3]s/tls.key"
}
storage "raft" {
  path = "%[3]s/raft"
  node_id = "bench"
}
audit "file" "to-file" {
  options {
    file_path = "%[3]s/%[4]s"
  }
}
`

func (e *openBao) open(ctx context.Context, dir string) error {
	ports, err := savedPorts(dir, 2)
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "raft"), 0o700); err != nil {
		return err
	}
	authority, err := writeCertificate(dir)
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "bao.hcl")
	if err := os.WriteFile(config, fmt.Appendf(nil, openBaoConfig, ports[0], ports[1], dir, auditFile), 0o600); err != nil {
		return err
	}
	if e.process, err = startProcess(dir, exec.Command(e.program, "server", "-config="+config)); err != nil {
		return err
	}
	if e.client, err = newVaultClient(fmt.Sprintf("https://127.0.0.1:%d/v1/", ports[0]), authority, http.Header{}); err != nil {
		return err
	}
	var keys struct {
		Keys  []string
		Token string `json:"root_token"`
	}
	err = e.process.awaitReady(ctx, func(ctx context.Context) error {
		return e.client.do(ctx, http.MethodPut, "sys/init", map[string]int{"secret_shares": 1, "secret_threshold": 1}, &keys)
	})
	if err != nil {
		return err
	}
	if len(keys.Keys) != 1 {
		return errors.New("openbao: it has given no key")
	}
	if err := e.client.do(ctx, http.MethodPut, "sys/unseal", map[string]string{"key": keys.Keys[0]}, nil); err != nil {
		return err
	}
	e.client.header.Set("X-Vault-Token", keys.Token)
	// The health of a node that is unsealed and leads answers 200.
	if err := e.process.awaitReady(ctx, func(ctx context.Context) error { return e.client.do(ctx, http.MethodGet, "sys/health", nil, nil) }); err != nil {
		return err
	}
	if err := e.prepare(ctx); err != nil {
		return err
	}
	notes, err := os.Stat(filepath.Join(dir, auditFile))
	if err == nil && notes.Size() == 0 {
		err = errors.New("openbao: its audit log is empty")
	}
	return err
}

// prepare mounts the two engines. Secrets have versions once the mount has been upgraded, which takes a moment.
func (e *openBao) prepare(ctx context.Context) error {
	mount := map[string]any{"type": "kv", "options": map[string]string{"version": "2"}}
	if err := e.client.do(ctx, http.MethodPost, "sys/mounts/secret", mount, nil); err != nil {
		return err
	}
	if err := e.process.awaitReady(ctx, func(ctx context.Context) error { return e.set(ctx, "first", "value") }); err != nil {
		return err
	}
	if err := e.client.do(ctx, http.MethodPost, "sys/mounts/transit", map[string]string{"type": "transit"}, nil); err != nil {
		return err
	}
	kind := "ecdsa-p256"
	if e.deps.variant.Algorithm == "RS256" {
		kind = "rsa-2048"
	}
	return e.client.do(ctx, http.MethodPost, "transit/keys/signer", map[string]string{"type": kind}, nil)
}

// writeCertificate makes the server's certificate, which is its own authority.
func writeCertificate(dir string) (authority []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return authority, errors.Join(
		os.WriteFile(filepath.Join(dir, "tls.pem"), authority, 0o600),
		os.WriteFile(filepath.Join(dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	)
}

func (e *openBao) get(ctx context.Context, name string) (string, error) {
	var answer struct {
		Data struct{ Data struct{ Value string } }
	}
	err := e.client.do(ctx, http.MethodGet, "secret/data/"+name, nil, &answer)
	return answer.Data.Data.Value, err
}

func (e *openBao) set(ctx context.Context, name, value string) error {
	return e.client.do(ctx, http.MethodPost, "secret/data/"+name, map[string]any{"data": map[string]string{"value": value}}, nil)
}

func (e *openBao) sign(ctx context.Context, digest []byte) ([]byte, error) {
	body := map[string]any{"input": base64.StdEncoding.EncodeToString(digest), "prehashed": true, "hash_algorithm": "sha2-256"}
	encoding := base64.StdEncoding
	if e.deps.variant.Algorithm == "RS256" {
		body["signature_algorithm"] = "pkcs1v15"
	} else {
		body["marshaling_algorithm"] = "jws"
		encoding = base64.RawURLEncoding
	}
	var answer struct{ Data struct{ Signature string } }
	if err := e.client.do(ctx, http.MethodPost, "transit/sign/signer", body, &answer); err != nil {
		return nil, err
	}
	text := answer.Data.Signature
	return encoding.DecodeString(text[strings.LastIndex(text, ":")+1:])
}

func (e *openBao) public(ctx context.Context) (crypto.PublicKey, error) {
	var answer struct {
		Data struct {
			Keys map[string]struct {
				Public string `json:"public_key"`
			}
		}
	}
	if err := e.client.do(ctx, http.MethodGet, "transit/keys/signer", nil, &answer); err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(answer.Data.Keys["1"].Public))
	if block == nil {
		return nil, errors.New("openbao: the key has no public part in PEM")
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}

func (e *openBao) server() int { return e.process.pid() }

func (e *openBao) close() error {
	if e.client != nil {
		e.client.client.CloseIdleConnections()
	}
	return e.process.stop(syscall.SIGTERM)
}
