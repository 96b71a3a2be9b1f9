package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// vaultCallers is how many callers use a vault at once; fewer with a smaller -inflight.
	vaultCallers = 64
	// vaultSecrets is how many secrets there are, so that none gets more versions than vaults keep of one.
	vaultSecrets = 1000
)

// How a vault is used.
const (
	viaHTTPS   = "https"
	viaProcess = "process" // by calls in the vault's process
)

// vaultVariants are the ways to use a vault, each with each algorithm; an empty one for workloads that have none.
func vaultVariants(algorithms ...string) func(peer) []variant {
	return func(p peer) []variant {
		var all []variant
		for _, alg := range algorithms {
			all = append(all, variant{Algorithm: alg, Via: viaHTTPS})
			if p.inProcess {
				all = append(all, variant{Algorithm: alg, Via: viaProcess})
			}
		}
		return all
	}
}

// secretName is the name of the n-th secret.
func secretName(n int) string { return fmt.Sprintf("secret-%d", n%vaultSecrets) }

// secretText is the value of all secrets.
func (s *session) secretText() string { return strings.Repeat("s", s.task.Payload) }

// measureSecretGet reads the current values of secrets. A sample is a read.
func measureSecretGet(ctx context.Context, s *session) (row, error) {
	callers := min(s.task.Inflight, vaultCallers)
	if _, _, err := each(ctx, vaultSecrets, callers, func(ctx context.Context, i int) error {
		return s.vault.set(ctx, secretName(i), s.secretText())
	}); err != nil {
		return row{}, err
	}
	return s.measureVault(ctx, callers, func(ctx context.Context, i int) error { return s.checkSecret(ctx, secretName(i)) })
}

// checkSecret reads a secret, which must have the value that it was given.
func (s *session) checkSecret(ctx context.Context, name string) error {
	value, err := s.vault.get(ctx, name)
	if err == nil && value != s.secretText() {
		err = fmt.Errorf("secret %s is %.40q, expected %.40q", name, value, s.secretText())
	}
	return err
}

// measureSecretSet gives secrets new values: each is a new version. A sample is one of them.
func measureSecretSet(ctx context.Context, s *session) (row, error) {
	result, err := s.measureVault(ctx, min(s.task.Inflight, vaultCallers), func(ctx context.Context, i int) error {
		return s.vault.set(ctx, secretName(i), s.secretText())
	})
	if err != nil {
		return row{}, err
	}
	return result, s.checkSecret(ctx, secretName(0))
}

// measureSign signs digests by a key of the vault. A sample is a signature. The first one is verified with the public
// key that the vault gives out, and each has the right length.
func measureSign(ctx context.Context, s *session) (row, error) {
	digest := sha256.Sum256([]byte("what is signed"))
	public, err := s.vault.public(ctx)
	if err != nil {
		return row{}, err
	}
	first, err := s.vault.sign(ctx, digest[:])
	if err != nil {
		return row{}, err
	}
	if err := checkSignature(public, s.task.Variant.Algorithm, digest[:], first); err != nil {
		return row{}, err
	}
	return s.measureVault(ctx, min(s.task.Inflight, vaultCallers), func(ctx context.Context, _ int) error {
		signature, err := s.vault.sign(ctx, digest[:])
		if err == nil && len(signature) != len(first) {
			err = fmt.Errorf("the signature has %d bytes, expected %d", len(signature), len(first))
		}
		return err
	})
}

// checkSignature verifies a signature over a SHA-256 digest, as JWA has it.
func checkSignature(public crypto.PublicKey, alg string, digest, signature []byte) error {
	good := false
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		const half = 32 // bytes
		good = alg == "ES256" && len(signature) == 2*half &&
			ecdsa.Verify(key, digest, new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:]))
	case *rsa.PublicKey:
		good = alg == "RS256" && rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, signature) == nil
	}
	if !good {
		return fmt.Errorf("the signature by %s does not verify with the vault's %T", alg, public)
	}
	return nil
}

// measureVault lets callers do something again and again, after some that do not count. The processor time is that of the
// vault's process, where it has one of its own.
func (s *session) measureVault(ctx context.Context, callers int, do func(ctx context.Context, i int) error) (row, error) {
	if _, _, err := each(ctx, max(s.task.N/10, callers), callers, do); err != nil {
		return row{}, fmt.Errorf("warm-up: %w", err)
	}
	before, err := processCPU(s.engine.server())
	if err != nil {
		return row{}, err
	}
	samples, total, err := repeat(mostRounds, func(int) ([]time.Duration, time.Duration, error) {
		return each(ctx, s.task.N, callers, do)
	})
	if err != nil {
		return row{}, err
	}
	after, err := processCPU(s.engine.server())
	if err != nil {
		return row{}, err
	}
	result := s.newRow(callers)
	result.setTotals(len(samples), 0, total)
	result.setPercentiles(samples)
	if s.task.Workload == signed {
		result.PayloadBytes = 0
	}
	if s.engine.server() != 0 {
		result.setCPU(len(samples), after-before)
	}
	return result, ctx.Err()
}

// vaultClient asks a vault over HTTPS, on connections that are kept.
type vaultClient struct {
	base   string
	client http.Client
	header http.Header
}

// newVaultClient returns a client that trusts an authority alone and finds every host on this machine, whatever name it
// has.
func newVaultClient(base string, authority []byte, header http.Header) (*vaultClient, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("the vault's authority is no certificate in PEM")
	}
	c := &vaultClient{base: base, header: header}
	c.client.Transport = &http.Transport{
		MaxIdleConnsPerHost: vaultCallers, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			var d net.Dialer
			return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
	}
	return c, nil
}

// do sends a body as JSON, unless it is nil, and decodes the answer, unless answer is nil.
func (c *vaultClient) do(ctx context.Context, method, path string, body, answer any) error {
	var sent io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, sent)
	if err != nil {
		return err
	}
	for name, values := range c.header {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return err
	case response.StatusCode >= http.StatusMultipleChoices:
		return fmt.Errorf("%s %s: the vault answered %s: %.300s", method, path, response.Status, text)
	case answer == nil:
		return nil
	}
	return json.Unmarshal(text, answer)
}
