package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/spf13/cobra"
)

// maxList bounds a list of revoked certificates, in bytes.
const maxList = 1 << 20

func (p *program) certificateOffline(vault *string) *cobra.Command {
	var out, crl string
	cmd := &cobra.Command{
		Use: "offline AUTHORITY", Short: "Take the key of an authority out of the vault, to be kept where no network is", Args: exactly(1),
		Long: `Take the key of an authority out of the vault. It is written to a file, with the
certificate, in PEM, and is in the vault no more, but for backups that were made before.
The certificate stays, what it has signed stays good, and other authorities go on. What the
authority has revoked stays known for a year; later lists are made where the key is, and
given to the vault by --crl.`,
		RunE: runs(func(ctx context.Context, args []string) error {
			switch {
			case (out == "") == (crl == ""):
				return &usageError{errors.New("say where the key goes, by --out FILE, or which list to take, by --crl FILE")}
			case crl != "":
				return p.takeList(ctx, *vault, args[0], crl)
			}
			return p.takeKey(ctx, *vault, args[0], out)
		}),
	}
	cmd.Flags().StringVar(&out, "out", "", "new file for the key and the certificate")
	cmd.Flags().StringVar(&crl, "crl", "", "list of revoked certificates, in PEM, that was made where the key is")
	return cmd
}

// takeKey writes the key to a file that is made before, so that it is not taken out in vain.
func (p *program) takeKey(ctx context.Context, vault, name, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	var taken struct {
		PEM string `json:"pem"`
	}
	if err := p.ask(ctx, http.MethodPost, vaultPath+"offline", nil, map[string]any{"vault": vault, "name": name}, &taken); err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	_, err = f.WriteString(taken.PEM)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("the key is out of the vault and could not be kept in %q, so here it is: %w", path, err), p.writeOut("", []byte(taken.PEM)))
	}
	return p.done("The key of %s is in %s, and in the vault no more.", name, path)
}

// takeList gives the vault a list that was made elsewhere.
func (p *program) takeList(ctx context.Context, vault, name, path string) error {
	text, err := p.readIn(path, maxList)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "X509 CRL" {
		return &usageError{fmt.Errorf("%q has no list of revoked certificates in PEM", path)}
	}
	body := map[string]any{"vault": vault, "name": name, "crl": block.Bytes}
	if err := p.ask(ctx, http.MethodPost, vaultPath+"crl", nil, body, nil); err != nil {
		return err
	}
	return p.done("The vault has the list of %s.", name)
}
