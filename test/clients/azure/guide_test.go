package azure_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"

	"github.com/perdure/perdure"
)

// report is the program of the guide.
func report(ctx context.Context, url string) (*http.Response, error) {
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, err
	}
	token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://orders.example.com/.default"}})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/orders", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token.Token)
	return http.DefaultClient.Do(r)
}

// callAsApp is what the guide has of a function.
func callAsApp(ctx context.Context, app *perdure.App, url string) (*http.Response, error) {
	client := oauth2.NewClient(ctx, app.TokenSource("https://orders.example.com"))
	res, err := client.Get(url + "/orders")
	return res, err
}

// elsewhere is what the guide has of a program elsewhere.
func elsewhere(clientID, file, issuer string, client *http.Client) (azcore.TokenCredential, error) {
	credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientID: clientID, TenantID: "default", TokenFilePath: file, DisableInstanceDiscovery: true,
		ClientOptions: azcore.ClientOptions{
			Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: issuer}, Transport: client,
		},
	})
	return credential, err
}

// reportEnv is the URL of the app that the worker reports on, as the program of the guide.
const reportEnv = "AZURE_TEST_REPORT"

// reports prints what the app answers.
func reports(url string) int {
	res, err := report(context.Background(), url)
	if err == nil {
		defer res.Body.Close()
		_, err = io.Copy(os.Stdout, res.Body)
	}
	if err != nil {
		_, _ = io.WriteString(os.Stderr, err.Error())
		return 1
	}
	return 0
}

var shell = regexp.MustCompile("(?s)```sh\n(.*?)```")

// The commands of the guide do what it says, and so do its programs.
func TestGuide(t *testing.T) {
	t.Parallel()
	onLinux(t)
	s := openShop(t)
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "guides", "managed-identities.md"))
	must(t, err)
	blocks := shell.FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 3 {
		t.Fatalf("the guide has %d blocks of commands, want 3", len(blocks))
	}
	path, err := command()
	must(t, err)
	self, err := os.Executable()
	must(t, err)
	dir := t.TempDir()
	must(t, os.Symlink(self, filepath.Join(dir, "report")))
	issuer, by := cluster(t)
	var out string
	for _, block := range blocks {
		run := exec.CommandContext(t.Context(), "sh", "-eu", "-c", strings.ReplaceAll(block[1], "https://cluster.example.com", issuer))
		run.Dir = dir
		run.Env = append(os.Environ(), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"), "PERDURE_DATA="+s.data, workerEnv+"="+scope, reportEnv+"="+s.url)
		var output bytes.Buffer
		run.Stdout, run.Stderr = &output, &output
		if err := run.Run(); err != nil {
			t.Fatalf("%s: %v: %s", block[1], err, &output)
		}
		out += output.String()
	}
	object, client := s.identity(t, "Reports")
	if object == "" || !strings.Contains(out, "\n"+object) {
		t.Errorf("the commands say %q; want the app's answer to %s", out, object)
	}

	res, err := callAsApp(t.Context(), s.app, s.url)
	must(t, err)
	body, err := io.ReadAll(res.Body)
	must(t, errors.Join(err, res.Body.Close()))
	if res.StatusCode != http.StatusOK {
		t.Errorf("as the app: %d %s", res.StatusCode, body)
	}

	file, now := filepath.Join(dir, "token"), time.Now()
	must(t, os.WriteFile(file, []byte(sign(t, by, "c1", jwt.Claims{
		Issuer: issuer, Subject: "system:serviceaccount:shop:reports", Audience: jwt.Audience{"api://AzureADTokenExchange"},
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Hour)),
	})), 0o600))
	c, err := elsewhere(client, file, s.issuer, s.client)
	got, err := token(t, c, err)
	must(t, err)
	s.good(t, got, object, "read:orders")
}
