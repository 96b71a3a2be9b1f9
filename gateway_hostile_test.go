package perdure_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/control"
)

// rewritten is a route whose plugin asks the app for what the client says.
const rewritten = `  - name: rewritten
    paths: [/rewritten]
    plugins:
    - name: test-identity
    - name: request-transformer
      config: {replace: {uri: "/$(query_params.to)"}}
`

// No way of writing a path leads through the gateway to what manages the app, whoever asks.
func TestManagementIsNotBehindTheGateway(t *testing.T) {
	t.Parallel()
	app := startGateway(t, func(c *perdure.Config) {
		if err := os.WriteFile(c.Gateway.Files[0], []byte(gatewayFile+rewritten), 0o600); err != nil {
			t.Fatal(err)
		}
		c.Auth = auth.AuthenticatorFunc(func(*http.Request) (*auth.Principal, error) {
			return &auth.Principal{Subject: "operator", Permissions: []string{control.ReadPermission, control.ManagePermission}}, nil
		})
	})
	if status, _ := fetch(t, http.DefaultClient, "GET", "http://"+app.Addr().String()+"/perdure/v1/info", ""); status != http.StatusOK {
		t.Fatalf("the app itself answers %d", status)
	}
	plain, _ := app.GatewayAddr()
	prefixes := []string{"", "/old", "/who/..", "/old/old/..", "/old/.", "/./", "/old/%2e", "/old/%2E%2E", "//", "/old//", "/%2f", "/old%2f", "/old/%2f", "/x%2f..", "/old/x/%2e./", "http://" + plain, "HTTP://" + plain + "/old"}
	paths := []string{
		"/perdure/v1/info", "/perdure//v1/info", "/perdure/v1//info", "/perdure/v1/./info", "/perdure/v1/x/../info", "/%70erdure/v1/info",
		"/perdure/%76%31/info", "/perdure%2fv1%2finfo", "/perdure/v1%2finfo", "/perdure%2Fv1/info", "/perdure/v1/info?x=/", "/perdure/v1/info;x", "/Perdure/V1/info",
		"/perdure/v1/gateway/status", "/perdure/v1/gateway/kong/config", "/metrics", "/%6detrics", "/metrics/", "/metrics?", "/perdure/v1",
	}
	var targets []string
	for _, prefix := range prefixes {
		for _, path := range paths {
			targets = append(targets, prefix+path)
		}
	}
	for _, path := range paths {
		to := strings.NewReplacer("%", "%25", "?", "%3f").Replace(path)
		targets = append(targets, "/rewritten?to="+to, "/rewritten?to=x/.."+to, "/rewritten?to=/"+to, "/rewritten?to=.%2f"+to)
	}
	for _, target := range targets {
		for _, method := range []string{"GET", "POST"} {
			status, body := rawRequest(t, plain, method+" "+target+" HTTP/1.1\r\nHost: "+plain+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			if status == http.StatusOK || status == http.StatusUnauthorized || status == http.StatusForbidden || strings.Contains(body, "_format_version") {
				t.Errorf("%s %s: answered %d %.200s", method, target, status, body)
			}
		}
	}
}

// rawRequest sends bytes, and returns the status and the body of the answer.
func rawRequest(t *testing.T, address, request string) (int, string) {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close() //nolint:errcheck // it was read
	if err := nc.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(nc, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	return resp.StatusCode, string(body)
}
