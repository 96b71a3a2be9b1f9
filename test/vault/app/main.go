// Command app is what the tests of the vault kill and search: an app with a provider and a vault, whose functions read a secret
// and sign by a key of its own.
//
// VAULT_HEADS names the file that the heads of the audit log go to, and VAULT_MASTER is Config.MasterKey.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/vault"
)

// headsEvery is how often a head goes to the file, so that the tests need not wait for one.
const headsEvery = 50 * time.Millisecond

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	app := perdure.New(perdure.ConfigFromEnv(perdure.Config{
		Title: "Vault", MasterKey: os.Getenv("VAULT_MASTER"),
		Identity: &identity.Config{},
		Vault: &vault.Config{
			Audit: vault.Audit{File: os.Getenv("VAULT_HEADS"), Every: headsEvery},
			Grants: []vault.Grant{
				{Member: "self", Role: "secrets-user", Name: "shared"},
				{Member: "self", Role: "crypto-user", Name: "signer"},
			},
		},
	}))
	app.Add(parts(app)...)
	if err := app.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
