package azure_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// onLinux skips where the user of a connection cannot be found out.
func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" || testing.Short() {
		t.Skip("needs Linux, and builds a program")
	}
}

// A program that is run as the app gets tokens of its identity without a secret, and so of others that it was given.
func TestManagedIdentity(t *testing.T) {
	t.Parallel()
	onLinux(t)
	s := openShop(t)
	system, _ := s.identity(t, "Orders")
	sharedID, sharedClient := s.managed(t, "Shared", nil)
	out, err := s.perdure(t, "identity", "grant", "Shared", api, "read:orders", "--role", "clerk").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	got, code, problems := s.exec(t, []string{"--identity", "Orders", "--identity", "Shared"}, "system", "default",
		"client="+sharedClient, "object="+sharedID, "resource=/subscriptions/x/userAssignedIdentities/Shared", "env")
	if code != 0 || len(got) != 6 {
		t.Fatalf("%d: %s %s", code, sprint(got), problems)
	}
	for i, line := range got[:5] {
		if line.Error != "" {
			t.Fatalf("%d: %s", i, line.Error)
		}
		if i < 2 {
			s.good(t, line.Token, system)
		} else if who := s.good(t, line.Token, sharedID, "approve:orders", "read:orders"); len(who.Roles) != 1 || who.Roles[0] != "clerk" {
			t.Errorf("roles %q", who.Roles)
		}
	}
	endpoint, header := got[5].Endpoint, got[5].Header
	if !strings.HasPrefix(endpoint, s.url+"/") || len(header) < 26 || got[5].Error != "" {
		t.Errorf("the worker was given %s", sprint(got[5]))
	}
	if strings.Contains(s.log.String(), header) {
		t.Error("the secret is in the log")
	}

	// What it is not given, it does not get.
	got, code, problems = s.exec(t, nil, "client="+sharedClient, "object="+sharedID, "scope="+s.issuer+"api/v2/.default", "system",
		"scope=https://nothing.example/.default", "system", "scope="+scope, "header=wrong-wrong-wrong-wrong-wrong", "default")
	if code != 0 || len(got) != 5 {
		t.Fatalf("%d: %s %s", code, sprint(got), problems)
	}
	for i, want := range []string{"no such identity", "no such identity", "may not have tokens", "there is no API", "X-IDENTITY-HEADER"} {
		if !strings.Contains(got[i].Error, want) || got[i].Token != "" {
			t.Errorf("%d: %s, want %q", i, sprint(got[i]), want)
		}
	}
}

// request asks the loopback endpoint for a token.
func request(t *testing.T, endpoint, header string, more ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", endpoint+"?api-version=2019-08-01&resource="+api, nil)
	must(t, err)
	r.Header.Set("X-IDENTITY-HEADER", header)
	for i := 0; i < len(more); i += 2 {
		r.Header.Set(more[i], more[i+1])
		if more[i] == "Host" {
			r.Host = more[i+1]
		}
	}
	res, err := http.DefaultClient.Do(r)
	must(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, string(b)
}

// The secret is good as long as the command runs, from this machine, and nowhere in a log; the command passes signals and
// exit codes on.
func TestExec(t *testing.T) {
	t.Parallel()
	onLinux(t)
	s := openShop(t)
	self, err := os.Executable()
	must(t, err)
	cmd := s.perdure(t, "identity", "exec", "--", self, "env", "wait")
	cmd.Env = append(os.Environ(), workerEnv+"="+scope)
	out, err := cmd.StdoutPipe()
	must(t, err)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	must(t, cmd.Start())
	lines := json.NewDecoder(out)
	var env, waits said
	must(t, lines.Decode(&env))
	must(t, lines.Decode(&waits))

	if status, body := request(t, env.Endpoint, env.Header); status != http.StatusOK || !strings.Contains(body, `"token_type":"Bearer"`) {
		t.Errorf("%d %s", status, body)
	}
	for name, more := range map[string][]string{
		"CWE-918, by a proxy":    {"X-Forwarded-For", "127.0.0.1"},
		"CWE-918, RFC 7239":      {"Forwarded", "for=127.0.0.1"},
		"CWE-346, from a page":   {"Origin", "http://evil.example"},
		"CWE-350, DNS rebinding": {"Host", "evil.example"},
		"another workload's":     {"X-IDENTITY-HEADER", "0123456789abcdefghijklmnop"},
	} {
		if status, body := request(t, env.Endpoint, env.Header, more...); status < 400 || strings.Contains(body, "access_token") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	_ = cmd.Wait() // the exit code says it
	if code := cmd.ProcessState.ExitCode(); code != 9 {
		t.Errorf("exit code %d, want that of the worker: %s", code, &problems)
	}
	if status, body := request(t, env.Endpoint, env.Header); status != http.StatusUnauthorized {
		t.Errorf("replay after the end: %d %s", status, body)
	}
	if strings.Contains(s.log.String(), env.Header) {
		t.Error("the secret is in the log")
	}

	if _, code, problems := s.exec(t, nil, "exit"); code != 7 || !strings.Contains(problems, "the worker ends") {
		t.Errorf("exit code %d: %s", code, problems)
	}
	if _, code, problems := s.exec(t, []string{"--identity", "nobody"}); code != 4 || !strings.Contains(problems, "nobody") {
		t.Errorf("an identity that is not there: exit code %d: %s", code, problems)
	}
	cmd = s.perdure(t, "identity", "exec", "--", "/no/such/program")
	_ = cmd.Run() // the exit code says it
	if code := cmd.ProcessState.ExitCode(); code != 127 {
		t.Errorf("a command that is not there: exit code %d", code)
	}
	cmd = s.perdure(t, "identity", "exec", "--", "sh", "-c", "kill -KILL $$")
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 137 {
		t.Errorf("a command that was killed: exit code %d", code)
	}
}

// A function calls another API as the app itself.
func TestTokenSource(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	source := s.app.TokenSource(api)
	token, err := source.Token()
	must(t, err)
	who, err := s.verify.Verify(context.Background(), token.AccessToken)
	must(t, err)
	s.grant(t, who.Subject, "read:orders")
	if again, err := source.Token(); err != nil || again.AccessToken != token.AccessToken {
		t.Errorf("%v: a token that is good is not used again", err)
	}
	token, err = s.app.TokenSource(api).Token()
	must(t, err)
	s.good(t, token.AccessToken, who.Subject, "read:orders")
	_, err = s.app.TokenSource("https://nothing.example").Token()
	wantError(t, "an API that is not there", err, "https://nothing.example")
	_, err = s.app.TokenSource(s.issuer + "api/v2/").Token()
	wantError(t, "an API that is no resource", err, "may not have tokens")
}
