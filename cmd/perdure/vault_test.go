package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/vault"
)

// keeper is an app of the scripts that has a vault. Its page /key shows the secret api-key, which it may read.
func keeper() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config := perdure.ConfigFromEnv(perdure.Config{Title: "Keeper", Listen: "localhost:0"})
	config.MasterKey = os.Getenv("KEEPER_MASTER")
	config.Policy = auth.Anonymous()
	config.Identity = &identity.Config{}
	config.Vault = &vault.Config{
		Listen: "localhost:0", Vaults: []vault.Settings{{Name: "other", RecoverableDays: 7, PurgeProtection: true}},
		Grants: []vault.Grant{{Member: "self", Role: "secrets-user", Name: "api-*"}}, Audit: vault.Audit{File: os.Getenv("KEEPER_HEADS")},
	}
	app := perdure.New(config)
	app.Add(perdure.HTTP("GET /key", func(ctx context.Context, _ *struct{}) (*struct {
		Body string `body:"text/plain"`
	}, error) {
		value, err := vault.Secret("api-key").Get(ctx)
		return &struct {
			Body string `body:"text/plain"`
		}{value}, err
	}))
	err := app.Start(ctx)
	if err == nil {
		err = os.WriteFile("keeper-runs", []byte("http://"+app.Addr().String()), 0o600)
	}
	if err == nil {
		<-ctx.Done()
		err = app.Stop(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// chained computes the chain of an exported log, as its help says. It begins with the link that the first node's id makes.
func chained() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var link []byte
	n := 0
	for line := range strings.Lines(string(text)) {
		var r struct {
			Entry json.RawMessage `json:"entry"`
			Hash  string          `json:"hash"`
		}
		var node struct {
			Node string `json:"node"`
		}
		if err := errors.Join(json.Unmarshal([]byte(line), &r), json.Unmarshal(r.Entry, &node)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if n++; n == 1 {
			sum := sha256.Sum256([]byte("perdure vault audit\n" + node.Node))
			link = sum[:]
		}
		sum := sha256.Sum256(append(link, r.Entry...))
		link = sum[:]
		if r.Hash != hex.EncodeToString(link) {
			fmt.Fprintln(os.Stderr, "the chain is broken at", n)
			os.Exit(1)
		}
	}
	fmt.Println("the chain holds:", n)
}
