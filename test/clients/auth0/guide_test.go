package auth0_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/auth0/go-auth0/management"
	"golang.org/x/oauth2"
)

// greet is the program of the guide.
func greet(ctx context.Context, w io.Writer, domain, clientID, clientSecret, userID string) error {
	api, err := management.New(domain, management.WithClientCredentials(ctx, clientID, clientSecret))
	if err != nil {
		return err
	}
	user, err := api.User.Read(ctx, userID)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s has signed in %d times.\n", user.GetName(), user.GetLoginsCount())
	return nil
}

// trust lets http.DefaultClient trust the tenant's server while the test runs.
func trust(t *testing.T, n *tenant) {
	t.Helper()
	before := http.DefaultClient
	http.DefaultClient = n.client()
	t.Cleanup(func() { http.DefaultClient = before })
}

var shell = regexp.MustCompile("(?s)```sh\n(.*?)```")

// The commands of the guide make a user and find it, and its program greets the user. It is not parallel: the
// program takes http.DefaultClient, as users' programs do.
func TestGuide(t *testing.T) {
	n := newTenant(t)
	id, secret := n.machine(t, "read:users", "create:users")
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "guides", "management-api.md"))
	must(t, err)
	commands := shell.FindSubmatch(page)
	if commands == nil {
		t.Fatal("the guide has no commands")
	}
	run := exec.CommandContext(t.Context(), "sh", "-eu", "-c", string(commands[1]))
	run.Env = append(os.Environ(), "ISSUER=https://"+n.domain+"/", "CLIENT_ID="+id, "CLIENT_SECRET="+secret, "CURL_CA_BUNDLE="+n.authority(t))
	var out, problems bytes.Buffer
	run.Stdout, run.Stderr = &out, &problems
	if err := run.Run(); err != nil {
		t.Fatalf("%v: %s %s", err, &out, &problems)
	}
	if !strings.HasSuffix(out.String(), `[{"email":"ann@example.org","name":"Ann"}]`) {
		t.Errorf("the commands say %s", &out)
	}
	userID := regexp.MustCompile(`"user_id":"([^"]+)"`).FindStringSubmatch(out.String())
	if userID == nil {
		t.Fatalf("no user was made: %s", &out)
	}

	trust(t, n)
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, n.client())
	out.Reset()
	must(t, greet(ctx, &out, n.domain, id, secret, userID[1]))
	if out.String() != "Ann has signed in 0 times.\n" {
		t.Errorf("the program says %q", &out)
	}
}

// authority is a file with the certificate that the server of a tenant is trusted by.
func (n *tenant) authority(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(nil) // all servers of httptest have the same
	defer server.Close()
	name := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	return name
}
