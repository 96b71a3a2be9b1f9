package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
	"software.sslmate.com/src/go-pkcs12"
)

func (p *program) certificateExport(vault *string) *cobra.Command {
	var (
		version, file, format string
		password              bool
	)
	cmd := &cobra.Command{
		Use: "export NAME", Short: "Write a certificate with its key to a file", Args: exactly(1),
		Long: `Write a certificate with its key and the certificates that vouch for it to a new file that
nobody else can read. PFX has the password that is read from standard input, or none. It needs
a policy that lets the key leave.`,
		RunE: runs(func(ctx context.Context, args []string) error {
			secretWord := ""
			if format != "pfx" && format != "pem" || password && format == "pem" {
				return &usageError{errors.New("--format: want pfx, or pem, which has no password")}
			}
			if file == "" && onTerminal(p.out) {
				return &usageError{errors.New("standard output is a terminal: name a file by --file")}
			}
			if password {
				var err error
				if secretWord, err = p.secretFromInput("password"); err != nil {
					return err
				}
			}
			path := at(secretKind, args[0])
			if version != "" {
				path = at(secretKind, args[0], version)
			}
			var got secret
			if err := p.items(*vault).do(ctx, http.MethodGet, path, nil, &got); err != nil {
				return err
			}
			if !got.Managed {
				return missing("certificate", args[0])
			}
			b, err := readBundle(got.Value)
			if err != nil {
				return err
			}
			text, err := b.encode(format, secretWord)
			if err != nil {
				return err
			}
			return p.writeOut(file, text)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&version, "version", "", "an older version; default the current one")
	f.StringVar(&file, "file", "", "a new file; default standard output")
	f.StringVar(&format, "format", "pfx", "pfx or pem")
	f.BoolVar(&password, "password-stdin", false, "read the password of a PFX from standard input")
	return cmd
}

// bundle is a certificate with its key and those that vouch for it.
type bundle struct {
	key   any
	chain []*x509.Certificate // the certificate itself first
}

// readBundle reads the secret of a certificate: PEM, or PFX without a password in base64.
func readBundle(text string) (*bundle, error) {
	b := &bundle{}
	if bytes.Contains([]byte(text), []byte("-----BEGIN")) {
		for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
			if block.Type != "CERTIFICATE" {
				continue
			}
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, err
			}
			b.chain = append(b.chain, cert)
		}
		b.key, _ = privatePEM([]byte(text))
	} else {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, errors.New("the secret of the certificate is in no form that is known")
		}
		key, cert, chain, err := pkcs12.DecodeChain(der, "")
		if err != nil {
			return nil, fmt.Errorf("its key does not leave the vault, or it cannot be read: %w", err)
		}
		b.key, b.chain = key, append([]*x509.Certificate{cert}, chain...)
	}
	if b.key == nil || len(b.chain) == 0 {
		return nil, errors.New("its policy keeps the key in the vault: there is nothing to export")
	}
	return b, nil
}

// encode writes it as pfx or pem.
func (b *bundle) encode(format, password string) ([]byte, error) {
	if format == "pfx" {
		return pkcs12.Modern.Encode(b.key, b.chain[0], b.chain[1:], password)
	}
	der, err := x509.MarshalPKCS8PrivateKey(b.key)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	blocks := []*pem.Block{{Type: "PRIVATE KEY", Bytes: der}}
	for _, cert := range b.chain {
		blocks = append(blocks, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	}
	for _, block := range blocks {
		if err := pem.Encode(&out, block); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}
