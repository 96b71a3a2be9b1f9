package keyvault_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// workerEnv makes a worker of the test program, a program that perdure identity exec runs, and is the URL of a vault;
// authorityEnv is the file with the certificate of the app's authority.
const (
	workerEnv    = "KEYVAULT_TEST_WORKER"
	authorityEnv = "KEYVAULT_TEST_AUTHORITY"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(workerEnv); url != "" {
		if err := work(url, os.Getenv(authorityEnv)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if built.Load() {
		path, _ := command()                 // the folder is there, whatever came of it
		_ = os.RemoveAll(filepath.Dir(path)) // what is left is in the folder for temporary files
	}
	os.Exit(code)
}

// said is a line that the worker prints for each thing it does.
type said struct {
	Did    string `json:"did"`
	Status int    `json:"status,omitempty"` // of an answer that says no
	Code   string `json:"code,omitempty"`
	Error  string `json:"error,omitempty"`
}

// work uses the three clients of a vault, as a user's program does.
func work(url, authority string) error {
	client, err := trust(authority)
	if err != nil {
		return err
	}
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return err
	}
	o := clientOptions(client)
	secrets, err := azsecrets.NewClient(url, credential, &azsecrets.ClientOptions{ClientOptions: o})
	if err != nil {
		return err
	}
	keys, err := azkeys.NewClient(url, credential, &azkeys.ClientOptions{ClientOptions: o})
	if err != nil {
		return err
	}
	certificates, err := azcertificates.NewClient(url, credential, &azcertificates.ClientOptions{ClientOptions: o})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out := json.NewEncoder(os.Stdout)
	for _, one := range []struct {
		did string
		do  func() error
	}{
		{"set", func() error {
			_, err := secrets.SetSecret(ctx, "db-password", azsecrets.SetSecretParameters{Value: to.Ptr("hunter2")}, nil)
			return err
		}},
		{"get", func() error {
			got, err := secrets.GetSecret(ctx, "db-password", "", nil)
			if err == nil && *got.Value != "hunter2" {
				err = errors.New("it has another value")
			}
			return err
		}},
		{"sign", func() error { return sign(ctx, keys) }},
		{"certificate", func() error { return certify(ctx, certificates) }},
	} {
		line := said{Did: one.did}
		if err := one.do(); err != nil {
			line.Error = err.Error()
			if e := (*azcore.ResponseError)(nil); errors.As(err, &e) {
				line.Status, line.Code = e.StatusCode, e.ErrorCode
			}
		}
		if err := out.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// sign makes a key, signs by it, and checks the signature with Go's own crypto.
func sign(ctx context.Context, keys *azkeys.Client) error {
	made, err := keys.CreateKey(ctx, "signer", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeEC)}, nil)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte("hello"))
	signed, err := keys.Sign(ctx, "signer", "", azkeys.SignParameters{Algorithm: to.Ptr(azkeys.SignatureAlgorithmES256), Value: digest[:]}, nil)
	if err != nil {
		return err
	}
	point := append(append([]byte{4}, made.Key.X...), made.Key.Y...)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return err
	}
	if !ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(signed.Result[:32]), new(big.Int).SetBytes(signed.Result[32:])) {
		return errors.New("the signature does not verify")
	}
	return nil
}

// certify makes a certificate that signs itself.
func certify(ctx context.Context, certificates *azcertificates.Client) error {
	_, err := certificates.CreateCertificate(ctx, "web", azcertificates.CreateCertificateParameters{CertificatePolicy: &azcertificates.CertificatePolicy{
		IssuerParameters:          &azcertificates.IssuerParameters{Name: to.Ptr("Self")},
		KeyProperties:             &azcertificates.KeyProperties{KeyType: to.Ptr(azcertificates.KeyTypeEC)},
		X509CertificateProperties: &azcertificates.X509CertificateProperties{Subject: to.Ptr("CN=web")},
	}}, nil)
	if err != nil {
		return err
	}
	got, err := certificates.GetCertificate(ctx, "web", "", nil)
	if err != nil {
		return err
	}
	parsed, err := x509.ParseCertificate(got.CER)
	if err != nil {
		return err
	}
	return parsed.CheckSignature(parsed.SignatureAlgorithm, parsed.RawTBSCertificate, parsed.Signature)
}
