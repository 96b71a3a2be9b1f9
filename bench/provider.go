package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// serveFlag makes this program serve a provider, given as JSON, instead of reading a command line.
	serveFlag = "-serve"
	// offerFile is what a provider writes to its folder when it takes requests.
	offerFile = "offer.json"
	// maxAnswer bounds what is read of a provider's answer.
	maxAnswer = 1 << 20
)

// serving is a provider that a process of its own serves.
type serving struct {
	Engine    string
	Algorithm string
	SignIns   int // how many sign-ins to begin, each with a refresh token
	Dir       string
}

// offer is how to get tokens from a provider.
type offer struct {
	Issuer   string
	TokenURL string
	KeysURL  string
	Audience string
	// ClientID and Secret are those of the application that gets tokens for itself, AppID and AppSecret those of the one
	// that people have signed in to.
	ClientID, Secret string
	AppID, AppSecret string
	RefreshTokens    []string
}

// providers start each a provider, which serves until the process ends.
func providers() map[string]func(context.Context, serving) (*offer, error) {
	return map[string]func(context.Context, serving) (*offer, error){
		"perdure": servePerdure, "zitadel": serveZitadel, "fosite": serveFosite,
		servePerdureVaultName: servePerdureVault,
	}
}

// provider is an identity provider in a process of its own, which is asked for tokens over HTTP.
type provider struct {
	name    string
	deps    deps
	process *process
	offer   offer
	client  http.Client
	newest  []string // the refresh token of each sign-in
}

func (e *provider) open(ctx context.Context, dir string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	s := serving{Engine: e.name, Algorithm: e.deps.variant.Algorithm, Dir: dir}
	if e.deps.workload == refreshed {
		s.SignIns = min(e.deps.inflight, tokenClients)
	}
	encoded, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if e.process, err = startProcess(dir, exec.Command(program, serveFlag, string(encoded))); err != nil {
		return err
	}
	err = e.process.awaitReady(ctx, func(context.Context) error {
		text, err := os.ReadFile(filepath.Join(dir, offerFile))
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &e.offer)
	})
	if err != nil {
		return err
	}
	e.client.Transport = &http.Transport{MaxIdleConnsPerHost: tokenClients}
	e.newest = e.offer.RefreshTokens
	return e.check(ctx)
}

// check sees that the provider's tokens are good for whoever has its keys.
func (e *provider) check(ctx context.Context) error {
	token, err := e.issue(ctx)
	if err != nil {
		return err
	}
	verifier := &golangJWT{}
	if err := verifier.open(ctx, ""); err != nil {
		return err
	}
	err = verifier.trust(ctx, trusted{e.offer.Issuer, e.offer.Audience, e.deps.variant.Algorithm, e.offer.KeysURL})
	if err == nil {
		_, err = verifier.verify(ctx, token)
	}
	if err != nil {
		err = fmt.Errorf("the provider's token is not good: %w", err)
	}
	return errors.Join(err, verifier.close())
}

func (e *provider) issue(ctx context.Context) (string, error) {
	answer, err := e.ask(ctx, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {e.offer.ClientID}, "client_secret": {e.offer.Secret},
		"audience": {e.offer.Audience},
	})
	return answer.AccessToken, err
}

func (e *provider) refresh(ctx context.Context, signIn int) (string, error) {
	used := e.newest[signIn]
	answer, err := e.ask(ctx, url.Values{
		"grant_type": {"refresh_token"}, "client_id": {e.offer.AppID}, "client_secret": {e.offer.AppSecret},
		"refresh_token": {used},
	})
	switch {
	case err != nil:
		return "", err
	case answer.RefreshToken == "" || answer.RefreshToken == used:
		return "", errors.New("the refresh token was not rotated")
	}
	if err := checkJWT(answer.IDToken, e.deps.variant.Algorithm); err != nil {
		return "", fmt.Errorf("ID token: %w", err)
	}
	e.newest[signIn] = answer.RefreshToken
	return answer.AccessToken, nil
}

// tokenAnswer is what a provider answers.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
}

func (e *provider) ask(ctx context.Context, form url.Values) (answer tokenAnswer, err error) {
	err = askForTokens(ctx, &e.client, e.offer.TokenURL, form, &answer)
	return answer, err
}

func askForTokens(ctx context.Context, client *http.Client, tokenURL string, form url.Values, answer *tokenAnswer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, tokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the provider answered %s: %.300s", response.Status, text)
	}
	return json.Unmarshal(text, answer)
}

func (e *provider) server() int { return e.process.pid() }

func (e *provider) close() error {
	e.client.CloseIdleConnections()
	return e.process.stop(syscall.SIGTERM)
}

// serveMain serves the provider given as JSON until it is told to end, and returns the exit code.
func serveMain(encoded string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var s serving
	if err := json.Unmarshal([]byte(encoded), &s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	if err := serve(ctx, s); err != nil {
		fmt.Fprintf(os.Stderr, "bench: serve %s: %v\n", s.Engine, err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, s serving) error {
	start := providers()[s.Engine]
	if start == nil {
		return fmt.Errorf("%q is no provider", s.Engine)
	}
	o, err := start(ctx, s)
	if err != nil {
		return err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	path := filepath.Join(s.Dir, offerFile)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// serveHTTP serves on a free port of loopback until ctx ends.
func serveHTTP(ctx context.Context, port int, handler http.Handler) {
	server := &http.Server{Addr: fmt.Sprintf("127.0.0.1:%d", port), Handler: handler, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}()
}
