package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/queue"
	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault"
)

// Job is a piece of work.
type Job struct {
	ID string `json:"id"`
}

// Use is what a job did with the vault.
type Use struct {
	// Digest is the SHA-256 of the secret that a function was given, in hexadecimal.
	Digest string `json:"digest,omitempty"`
	// Version is that of the key which has signed.
	Version string `json:"version,omitempty"`
}

var (
	Jobs = queue.Of[Job]("jobs")
	Uses = table.Of[Use]("uses") // PLACE/ID
	Sign = durable.NewOrchestration[Job, string]("Sign")
	// SignJob signs by the key of the app.
	SignJob = durable.NewActivity[Job, string]("SignJob")

	signer = vault.Key("signer")
)

func parts(app *perdure.App) []perdure.Part {
	policy := perdure.Policy{Attempts: 1000, Initial: 5 * time.Millisecond, Max: 50 * time.Millisecond}
	return []perdure.Part{
		Uses,
		perdure.HTTP("POST /jobs", accept),
		perdure.HTTP("GET /uses", report),
		perdure.HTTP("GET /read/{name}", read),
		perdure.HTTP("GET /environment", environment),
		perdure.OnQueue(Jobs, use, policy),
		// A right that is changed all the time makes what goes by rights conflict again and again.
		Sign.Impl(func(ctx *durable.Context, j Job) (string, error) {
			return SignJob.Call(ctx, j, durable.Retry{Attempts: 1000, Initial: 5 * time.Millisecond, Max: 50 * time.Millisecond})
		}),
		SignJob.Impl(func(ctx context.Context, j Job) (string, error) { return sign(ctx, app, j) }),
	}
}

type nothing struct{}

type acceptIn struct {
	Job Job `body:",strict"`
}

type acceptOut struct {
	Status int  `status:"202"`
	Job    *Job `bind:"jobs"`
}

// accept sends a job to the queue and starts its orchestration.
func accept(ctx context.Context, in *acceptIn) (*acceptOut, error) {
	if _, err := Sign.Start(ctx, in.Job, durable.ID(in.Job.ID)); err != nil {
		return nil, err
	}
	return &acceptOut{Job: &in.Job}, nil
}

type useIn struct {
	Job    Job    `body:""`
	Shared string `bind:"vault:shared"`
}

// use notes which value of the secret it was given.
func use(ctx context.Context, in *useIn) (*nothing, error) {
	sum := sha256.Sum256([]byte(in.Shared))
	return nil, Uses.Put(ctx, "queue/"+in.Job.ID, &Use{Digest: hex.EncodeToString(sum[:])})
}

// sign notes by which version of the key it has signed.
func sign(ctx context.Context, app *perdure.App, j Job) (string, error) {
	digest := sha256.Sum256([]byte(j.ID))
	_, version, err := app.Vault().Sign(ctx, signer, "ES256", digest[:])
	if err != nil {
		return "", err
	}
	return version, Uses.Put(ctx, "activity/"+j.ID, &Use{Version: version})
}

type reportOut struct {
	Body map[string]map[string]Use `body:""`
}

func report(ctx context.Context, _ *nothing) (*reportOut, error) {
	all := map[string]map[string]Use{"queue": {}, "activity": {}}
	for row, err := range Uses.ScanAll(ctx) {
		if err != nil {
			return nil, err
		}
		all[row.Key.Partition][row.Key.Row] = *row.Value
	}
	return &reportOut{all}, nil
}

type readIn struct {
	Name string `path:"name"`
}

type readOut struct {
	Body struct {
		Value   string `json:"value"`
		Allowed bool   `json:"allowed"`
	} `body:""`
}

// read reads a secret with the rights of the app.
func read(ctx context.Context, in *readIn) (*readOut, error) {
	out := &readOut{}
	value, err := vault.Secret(in.Name).Get(ctx)
	switch {
	case errors.Is(err, vault.ErrForbidden):
		return out, nil
	case err != nil:
		return nil, err
	}
	out.Body.Value, out.Body.Allowed = value, true
	return out, nil
}

type environmentOut struct {
	Body struct {
		Own, Child []string
	} `body:""`
}

// environment is what the app and a program that it starts have in their environment.
func environment(ctx context.Context, _ *nothing) (*environmentOut, error) {
	out := &environmentOut{}
	out.Body.Own = os.Environ()
	child, err := exec.CommandContext(ctx, "env").Output()
	if err != nil {
		return nil, fmt.Errorf("env: %w", err)
	}
	out.Body.Child = []string{string(child)}
	return out, nil
}
