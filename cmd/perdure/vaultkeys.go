package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/spf13/cobra"
)

// keyKind is how paths name keys.
const keyKind = "keys"

// vaultKey is a key in an answer: its public part.
type vaultKey struct {
	Key        json.RawMessage   `json:"key"`
	Attributes attributes        `json:"attributes"`
	Tags       map[string]string `json:"tags"`
	Managed    bool              `json:"managed"`
}

// publicKey is what tables show of it.
type publicKey struct {
	KID string   `json:"kid"`
	Kty string   `json:"kty"`
	Crv string   `json:"crv"`
	N   string   `json:"n"`
	Ops []string `json:"key_ops"`
}

func (k *vaultKey) public() (publicKey, error) {
	var jwk publicKey
	return jwk, json.Unmarshal(k.Key, &jwk)
}

// pem is the public key in PEM; an error for one that has none.
func (k *vaultKey) pem() ([]byte, error) {
	var members map[string]any
	if err := json.Unmarshal(k.Key, &members); err != nil {
		return nil, err
	}
	kty, _ := members["kty"].(string)
	members["kty"] = strings.TrimSuffix(kty, "-HSM")
	if members["kty"] == "oct" {
		return nil, errors.New("a symmetric key has no public part")
	}
	text, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(text); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(jwk.Key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

func (p *program) vaultKeysCommand() *cobra.Command {
	var vault string
	cmd := &cobra.Command{
		Use: "keys", Short: "Administer the vault's keys, which never leave it", Args: cobra.NoArgs,
		Long: `Administer the vault's keys, which never leave it: programs have it sign, verify, encrypt,
decrypt and wrap with them. "perdure keys" is about those that sign tokens.`,
	}
	ofVault(cmd, &vault)
	cmd.AddCommand(p.vaultKeyCreate(&vault), p.vaultKeyImport(&vault), p.vaultKeyShow(&vault), p.vaultKeyRotate(&vault), p.vaultKeyRotation(&vault),
		p.itemUpdate(keyKind, "key", &vault))
	cmd.AddCommand(p.itemCommands(keyKind, "key", &vault)...)
	return cmd
}

// madeKey says that a key has a new version.
func (p *program) madeKey(name string, made whole[vaultKey]) error {
	jwk, err := made.V.public()
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return p.show(made, func() {
		_, version := (&item{KID: jwk.KID}).named()
		p.say("The key %s has a new version: %s", name, version)
	})
}

func (p *program) vaultKeyCreate(vault *string) *cobra.Command {
	var (
		c          change
		kind       string
		size       int
		curve      string
		operations []string
	)
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a key, or a new version of one", Args: exactly(1),
		Example: `  perdure vault keys create invoices --type EC --curve P-256 --ops sign,verify
  perdure vault keys create files --type oct --size 256 --ops wrapKey,unwrapKey`,
		RunE: runs(func(ctx context.Context, args []string) error {
			body := map[string]any{"kty": kind}
			if size != 0 {
				body["key_size"] = size
			}
			if curve != "" {
				body["crv"] = curve
			}
			if len(operations) > 0 {
				body["key_ops"] = operations
			}
			if _, err := c.body(body); err != nil {
				return err
			}
			var made whole[vaultKey]
			if err := p.items(*vault).do(ctx, http.MethodPost, at(keyKind, args[0], "create"), body, &made); err != nil {
				return err
			}
			return p.madeKey(args[0], made)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&kind, "type", "EC", "RSA, EC, OKP (Ed25519) or oct (AES, HMAC)")
	f.IntVar(&size, "size", 0, "bits of RSA: 2048, 3072, 4096; of oct: 128 to 512")
	f.StringVar(&curve, "curve", "", "of EC: P-256, P-384, P-521; of OKP: Ed25519")
	f.StringSliceVar(&operations, "ops", nil, "what it is for: sign, verify, encrypt, decrypt, wrapKey, unwrapKey; default what its type can do")
	changeFlags(cmd, &c, false)
	return cmd
}

func (p *program) vaultKeyImport(vault *string) *cobra.Command {
	var (
		c          change
		operations []string
		file       string
	)
	cmd := &cobra.Command{
		Use: "import NAME", Short: "Import a key that was made elsewhere", Args: exactly(1),
		Long: `Import a private key that was made elsewhere, from standard input or a file: a JSON Web Key,
or PEM (PKCS #8, PKCS #1 or SEC 1), not encrypted.`,
		RunE: runs(func(ctx context.Context, args []string) error {
			text, err := p.readIn(file, maxImport)
			if err != nil {
				return err
			}
			jwk, err := privateJWK(text, operations)
			if err != nil {
				return err
			}
			body := map[string]any{"key": jwk}
			if _, err := c.body(body); err != nil {
				return err
			}
			var made whole[vaultKey]
			if err := p.items(*vault).do(ctx, http.MethodPut, at(keyKind, args[0]), body, &made); err != nil {
				return err
			}
			return p.madeKey(args[0], made)
		}),
	}
	cmd.Flags().StringVar(&file, "file", "", "read it from there; default standard input")
	cmd.Flags().StringSliceVar(&operations, "ops", nil, "what it is for; default what its type can do")
	changeFlags(cmd, &c, false)
	return cmd
}

// privateJWK reads a private key. What an error says has nothing of it.
func privateJWK(text []byte, operations []string) (map[string]any, error) {
	members := map[string]any{}
	if trimmed := bytes.TrimSpace(text); bytes.HasPrefix(trimmed, []byte("{")) {
		if json.Unmarshal(trimmed, &members) != nil {
			return nil, &usageError{errors.New("it begins as a JSON Web Key, and is no JSON")}
		}
	} else {
		key, err := privatePEM(text)
		if err != nil {
			return nil, &usageError{err}
		}
		encoded, err := jose.JSONWebKey{Key: key}.MarshalJSON()
		if err != nil {
			return nil, &usageError{errors.New("the key is of a kind that a vault has not")}
		}
		if err := json.Unmarshal(encoded, &members); err != nil {
			return nil, err
		}
	}
	if len(operations) > 0 {
		members["key_ops"] = operations
	}
	return members, nil
}

// privatePEM reads the first private key of a PEM file.
func privatePEM(text []byte) (any, error) {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, errors.New("there is no private key in it, as a JSON Web Key or in PEM")
		}
		switch block.Type {
		case "PRIVATE KEY":
			if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
				return key, nil
			}
			return nil, errors.New("the private key cannot be read")
		case "RSA PRIVATE KEY":
			if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
				return key, nil
			}
			return nil, errors.New("the private key cannot be read")
		case "EC PRIVATE KEY":
			if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
				return key, nil
			}
			return nil, errors.New("the private key cannot be read")
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the private key is encrypted: decrypt it first, such as by openssl pkcs8")
		}
		text = rest
	}
}

func (p *program) vaultKeyShow(vault *string) *cobra.Command {
	var (
		version    string
		asPEM, jwk bool
	)
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show the public part of a key", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			path := at(keyKind, args[0])
			if version != "" {
				path = at(keyKind, args[0], version)
			}
			var k whole[vaultKey]
			if err := p.items(*vault).do(ctx, http.MethodGet, path, nil, &k); err != nil {
				return err
			}
			switch {
			case asPEM:
				text, err := k.V.pem()
				if err != nil {
					return err
				}
				return p.writeOut("", text)
			case jwk:
				p.document(k.V.Key)
				return nil
			}
			public, err := k.V.public()
			if err != nil {
				return fmt.Errorf("read the answer: %w", err)
			}
			return p.show(k, func() {
				i := item{KID: public.KID, Attributes: k.V.Attributes}
				name, version := i.named()
				p.fields("name", name, "version", version, "type", public.Kty, "curve", public.Crv, "operations", strings.Join(public.Ops, " "),
					"state", i.state(), "created", since1970(i.Attributes.Created), "expires", since1970(i.Attributes.Expires),
					"tags", tagText(k.V.Tags), "of a certificate", yes(k.V.Managed))
			})
		}),
	}
	cmd.Flags().StringVar(&version, "version", "", "an older version; default the current one")
	cmd.Flags().BoolVar(&asPEM, "pem", false, "print the public key in PEM alone")
	cmd.Flags().BoolVar(&jwk, "jwk", false, "print the public key as a JSON Web Key alone")
	cmd.MarkFlagsMutuallyExclusive("pem", "jwk")
	return cmd
}

func (p *program) vaultKeyRotate(vault *string) *cobra.Command {
	return &cobra.Command{
		Use: "rotate NAME", Short: "Make a new version of a key; those before still verify and decrypt", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			var made whole[vaultKey]
			if err := p.items(*vault).do(ctx, http.MethodPost, at(keyKind, args[0], "rotate"), nil, &made); err != nil {
				return err
			}
			return p.madeKey(args[0], made)
		}),
	}
}

func (p *program) vaultKeyRotation(vault *string) *cobra.Command {
	type trigger struct {
		AfterCreate  string `json:"timeAfterCreate,omitempty"`
		BeforeExpiry string `json:"timeBeforeExpiry,omitempty"`
	}
	type action struct {
		Trigger trigger `json:"trigger"`
		Action  struct {
			Type string `json:"type"`
		} `json:"action"`
	}
	type rotation struct {
		Actions    []action `json:"lifetimeActions"`
		Attributes struct {
			ExpiryTime string `json:"expiryTime,omitempty"`
		} `json:"attributes"`
	}
	var every, expires span
	cmd := &cobra.Command{
		Use: "rotation NAME", Short: "Show when a key gets a new version by itself, or say so", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			path := at(keyKind, args[0], "rotationpolicy")
			var shown whole[rotation]
			if every == 0 && expires == 0 {
				if err := p.items(*vault).do(ctx, http.MethodGet, path, nil, &shown); err != nil {
					return err
				}
			} else {
				var set rotation
				set.Actions = []action{}
				if every != 0 {
					a := action{Trigger: trigger{AfterCreate: every.days()}}
					a.Action.Type = "Rotate"
					set.Actions = append(set.Actions, a)
				}
				if expires != 0 {
					set.Attributes.ExpiryTime = expires.days()
				}
				if err := p.items(*vault).do(ctx, http.MethodPut, path, set, &shown); err != nil {
					return err
				}
			}
			return p.show(shown, func() {
				p.fields("key", args[0], "new versions end after", cmp.Or(shown.V.Attributes.ExpiryTime, "never"))
				for _, a := range shown.V.Actions {
					p.fields(strings.ToLower(a.Action.Type)+" after", a.Trigger.AfterCreate, strings.ToLower(a.Action.Type)+" before the end", a.Trigger.BeforeExpiry)
				}
			})
		}),
	}
	cmd.Flags().Var(&every, "every", "make a new version when the one before is so old, in whole days: 90d")
	cmd.Flags().Var(&expires, "expires", "how long new versions can be used, in whole days")
	return cmd
}

// days is the span in whole days, as ISO 8601 has it.
func (s *span) days() string { return fmt.Sprintf("P%dD", max(1, int64(*s)/int64(day))) }
