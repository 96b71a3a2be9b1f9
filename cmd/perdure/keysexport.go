package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/spf13/cobra"

	"github.com/perdure/perdure/internal/control"
)

// exportedKey is the public half of a key that signs tokens.
type exportedKey struct {
	signingKey
	JWK json.RawMessage `json:"jwk"`
	pem string
}

// keysExport says how the key that signs is told to verifiers that do not find it by themselves.
func (p *program) keysExport() *cobra.Command {
	var format, consumer, by, alg, file string
	cmd := &cobra.Command{
		Use: "export", Short: "Write the public key that tokens are verified by, for verifiers that do not fetch it", Args: exactly(0),
		Long: `Write the public key that signs tokens, for verifiers that do not fetch /.well-known/jwks.json.

The formats "kubernetes" and "kong" are what the plugin jwt of Kong, or of a gateway of Perdure,
finds it by: a consumer with a credential. It is found by the issuer of a token, which can have one
key at a time; with --by kid by the key's id, and then there is a credential for each key whose
tokens are good, or will be. Such a file is old when another key signs: see "perdure keys list".`,
		Example: `  perdure keys export > signing-key.pem
  perdure keys export --format kubernetes --consumer clients --file manifests/clients.yaml`,
		RunE: runs(func(ctx context.Context, _ []string) error {
			write := map[string]func([]exportedKey, string, string) string{"pem": asPEM, "kubernetes": asManifests, "kong": asKongFile}[format]
			switch {
			case write == nil:
				return &usageError{fmt.Errorf("--format %q: want pem, kubernetes or kong", format)}
			case by != "iss" && by != "kid":
				return &usageError{fmt.Errorf("--by %q: want iss or kid", by)}
			case format != "pem" && !resourceName(consumer):
				return &usageError{fmt.Errorf("--consumer %q: want a name of lower-case letters, digits and -", consumer)}
			}
			keys, issuer, err := p.exportedKeys(ctx, alg, by)
			if err != nil {
				return err
			}
			if by == "kid" {
				issuer = ""
			}
			return p.replaceFile(file, []byte(write(keys, consumer, issuer)))
		}),
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "pem", "pem, kubernetes (a KongConsumer and its Secrets) or kong (kong.yml)")
	f.StringVar(&consumer, "consumer", "", "the consumer that whoever has a token of the app is")
	f.StringVar(&by, "by", "iss", "the claim by which the key is found: iss or kid, as key_claim_name of the plugin says")
	f.StringVar(&alg, "alg", "RS256", "the algorithm by which the API's tokens are signed")
	f.StringVar(&file, "file", "", "a file, which is replaced; default standard output")
	return cmd
}

// exportedKeys are the keys whose tokens are good or will be, by the claim iss the one that signs now, and the issuer.
func (p *program) exportedKeys(ctx context.Context, alg, by string) (keys []exportedKey, issuer string, err error) {
	provider, err := providerOf(ctx, control.NewClient(p.data))
	if err != nil {
		return nil, "", err
	}
	var all []exportedKey
	if err := p.manage(ctx, http.MethodGet, "keys/signing", nil, nil, &all); err != nil {
		return nil, "", err
	}
	for _, k := range all {
		if k.Revoked || k.Alg != alg || by == "iss" && !k.Current {
			continue
		}
		if k.pem, err = publicPEM(k.JWK); err != nil {
			return nil, "", fmt.Errorf("the key %s: %w", k.KID, err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, "", missing("key that signs by", alg)
	}
	return keys, provider.Environment.Issuer, nil
}

// publicPEM writes a JWK as a public key in PEM.
func publicPEM(jwk []byte) (string, error) {
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(jwk); err != nil {
		return "", err
	}
	if !key.IsPublic() {
		return "", errors.New("it is not public")
	}
	der, err := x509.MarshalPKIXPublicKey(key.Key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

func asPEM(keys []exportedKey, _, _ string) string {
	var b strings.Builder
	for _, k := range keys {
		b.WriteString(k.pem)
	}
	return b.String()
}

// found is what the credential of a key is found by: the issuer, or without one the key's id.
func (k *exportedKey) found(issuer string) string {
	if issuer != "" {
		return issuer
	}
	return k.KID
}

// indent puts a text below the field of YAML that it belongs to.
func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+by)
}

func asManifests(keys []exportedKey, consumer, issuer string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Written by "perdure keys export": whoever has a token that the app has signed.
apiVersion: configuration.konghq.com/v1
kind: KongConsumer
metadata:
  name: %[1]s
  annotations:
    kubernetes.io/ingress.class: kong
username: %[1]s
credentials:
`, consumer)
	for i := range keys {
		fmt.Fprintf(&b, "  - %s\n", secretName(consumer, i))
	}
	for i, k := range keys {
		fmt.Fprintf(&b, `---
apiVersion: v1
kind: Secret
metadata:
  name: %s
  labels:
    konghq.com/credential: jwt
stringData:
  key: %q
  algorithm: %s
  rsa_public_key: |
%s
`, secretName(consumer, i), k.found(issuer), k.Alg, indent(k.pem, "    "))
	}
	return b.String()
}

// secretName is the name of the Secret of a key.
func secretName(consumer string, i int) string {
	if i == 0 {
		return consumer + "-jwt"
	}
	return fmt.Sprintf("%s-jwt-%d", consumer, i+1)
}

func asKongFile(keys []exportedKey, consumer, issuer string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Written by "perdure keys export": whoever has a token that the app has signed.
_format_version: "3.0"
consumers:
  - username: %s
    jwt_secrets:
`, consumer)
	for _, k := range keys {
		fmt.Fprintf(&b, `      - key: %q
        algorithm: %s
        rsa_public_key: |
%s
`, k.found(issuer), k.Alg, indent(k.pem, "          "))
	}
	return b.String()
}

// resourceName reports whether a name is one that Kubernetes takes, and that needs no quotes in YAML.
func resourceName(name string) bool {
	const letters, rest = "abcdefghijklmnopqrstuvwxyz", "0123456789-"
	return name != "" && len(name) <= 50 && strings.Trim(name, letters+rest) == "" && strings.Contains(letters, name[:1]) && !strings.HasSuffix(name, "-")
}

// replaceFile writes to a file, of which nobody sees half, or to standard output when name is empty. There is no secret in it.
func (p *program) replaceFile(name string, data []byte) error {
	if name == "" {
		_, err := p.out.Write(data)
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".perdure-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	p.hint("It is in %s.", name)
	return nil
}
