package jwa_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure/vault/internal/jwa"
	"github.com/perdure/perdure/vault/internal/model"
)

func aesOf(t testing.TB, k *jwa.Key) cipher.Block {
	t.Helper()
	return must[cipher.Block](t)(aes.NewCipher(must[[]byte](t)(k.Encode())[1:]))
}

// shell is a folder in which the openssl program runs.
type shell struct{ folder string }

func openssl(t *testing.T) *shell {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("there is no openssl")
	}
	return &shell{t.TempDir()}
}

func (s *shell) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.folder, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *shell) read(t *testing.T, name string) []byte {
	t.Helper()
	return must[[]byte](t)(os.ReadFile(filepath.Join(s.folder, name)))
}

func (s *shell) run(args string) (string, error) {
	cmd := exec.Command("openssl", strings.Fields(args)...)
	cmd.Dir = s.folder
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// keys writes a key as openssl reads it.
func (s *shell) keys(t *testing.T, k *jwa.Key) {
	t.Helper()
	s.write(t, "public.der", must[[]byte](t)(x509.MarshalPKIXPublicKey(k.PublicKey())))
	s.write(t, "private.der", must[[]byte](t)(x509.MarshalPKCS8PrivateKey(must[crypto.Signer](t)(k.Signer()))))
}

func TestSignaturesWithOpenSSL(t *testing.T) {
	t.Parallel()
	for _, c := range signers {
		k := key(t, c.key)
		if k.PublicKey() == nil {
			continue
		}
		s := openssl(t)
		s.keys(t, k)
		value := digest(c.hash, "what is signed")
		s.write(t, "value", value)
		options := " -pkeyopt digest:" + strings.ToLower(strings.ReplaceAll(c.hash.String(), "-", ""))
		switch c.alg[0] {
		case 'P':
			options += " -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:digest"
		case 'E':
			options = ""
		}
		if c.alg == "EdDSA" {
			options = " -rawin"
		}
		ours := must[[]byte](t)(k.Sign(c.alg, value))
		s.write(t, "ours", derSignature(t, c.alg, ours))
		if out, err := s.run("pkeyutl -verify -pubin -keyform DER -inkey public.der -in value -sigfile ours" + options); err != nil {
			t.Errorf("%s: openssl refuses our signature: %s", c.alg, out)
		}
		if out, err := s.run("pkeyutl -sign -keyform DER -inkey private.der -in value -out theirs" + options); err != nil {
			t.Errorf("%s: openssl does not sign: %s", c.alg, out)
			continue
		}
		theirs := rawSignature(t, c.alg, s.read(t, "theirs"), len(ours)/2)
		if ok, err := k.Verify(c.alg, value, theirs); !ok || err != nil {
			t.Errorf("%s of openssl: %v, %v", c.alg, ok, err)
		}
	}
}

// derSignature turns r and s beside each other into what openssl has.
func derSignature(t *testing.T, alg string, sig []byte) []byte {
	if !strings.HasPrefix(alg, "ES") {
		return sig
	}
	n := len(sig) / 2
	return must[[]byte](t)(asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:])}))
}

func rawSignature(t *testing.T, alg string, sig []byte, size int) []byte {
	if !strings.HasPrefix(alg, "ES") {
		return sig
	}
	var rs struct{ R, S *big.Int }
	must[[]byte](t)(asn1.Unmarshal(sig, &rs))
	return append(rs.R.FillBytes(make([]byte, size)), rs.S.FillBytes(make([]byte, size))...)
}

func TestRSAEncryptionWithOpenSSL(t *testing.T) {
	t.Parallel()
	for _, c := range ciphers[:3] {
		k, s := key(t, c.key), openssl(t)
		s.keys(t, k)
		options := map[string]string{
			"RSA1_5":       " -pkeyopt rsa_padding_mode:pkcs1",
			"RSA-OAEP":     " -pkeyopt rsa_padding_mode:oaep",
			"RSA-OAEP-256": " -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256",
		}[c.alg]
		s.write(t, "plain", []byte("a content key"))
		if out, err := s.run("pkeyutl -encrypt -pubin -keyform DER -inkey public.der -in plain -out theirs" + options); err != nil {
			t.Errorf("%s: %s", c.alg, out)
		}
		if got, err := k.Decrypt(&model.Cipher{Alg: c.alg, Value: s.read(t, "theirs")}); err != nil || string(got.Value) != "a content key" {
			t.Errorf("%s of openssl: %v, %v", c.alg, got, err)
		}
		s.write(t, "ours", must[*model.Cipher](t)(k.Encrypt(&model.Cipher{Alg: c.alg, Value: []byte("a content key")})).Value)
		if out, err := s.run("pkeyutl -decrypt -keyform DER -inkey private.der -in ours" + options); err != nil || out != "a content key" {
			t.Errorf("%s for openssl: %q, %v", c.alg, out, err)
		}
	}
}

func TestCBCWithOpenSSL(t *testing.T) {
	t.Parallel()
	for alg, name := range map[string]string{"A128CBC": "oct 128", "A192CBCPAD": "oct 192", "A256CBC": "oct 256", "A256CBCPAD": "oct 256"} {
		k, s := key(t, name), openssl(t)
		value := bytes.Repeat([]byte("0123456789abcdef"), 3)
		options := ""
		if strings.HasSuffix(alg, "PAD") {
			value = value[:41]
		} else {
			options = " -nopad"
		}
		out := must[*model.Cipher](t)(k.Encrypt(&model.Cipher{Alg: alg, Value: value}))
		s.write(t, "ours", out.Value)
		secret := must[[]byte](t)(k.Encode())[1:]
		got, err := s.run("enc -d -aes-" + alg[1:4] + "-cbc -K " + hex.EncodeToString(secret) + " -iv " + hex.EncodeToString(out.IV) + " -in ours" + options)
		if err != nil || got != string(value) {
			t.Errorf("%s: %q, %v", alg, got, err)
		}
	}
}
