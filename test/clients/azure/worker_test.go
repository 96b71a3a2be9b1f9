package azure_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// workerEnv makes a worker of the test program: a program that perdure identity exec runs.
const workerEnv = "AZURE_TEST_WORKER"

func TestMain(m *testing.M) {
	if url := os.Getenv(reportEnv); url != "" {
		os.Exit(reports(url))
	}
	if scope := os.Getenv(workerEnv); scope != "" {
		worker(scope, os.Args[1:])
		return
	}
	code := m.Run()
	if built.Load() {
		path, _ := command()                 // the folder is there, whatever came of it
		_ = os.RemoveAll(filepath.Dir(path)) // what is left is in the folder for temporary files
	}
	os.Exit(code)
}

// said is a line that a worker prints for each thing it is told to do.
type said struct {
	Token    string    `json:"token,omitempty"`
	Expires  time.Time `json:"expires,omitzero"`
	Error    string    `json:"error,omitempty"`
	Endpoint string    `json:"endpoint,omitempty"`
	Header   string    `json:"header,omitempty"`
}

// worker does what it is told: it asks for tokens as a user's program does, or ends in one of several ways.
func worker(scope string, orders []string) {
	for _, order := range orders {
		kind, value, _ := strings.Cut(order, "=")
		var line said
		switch kind {
		case "scope":
			scope = value
			continue
		case "env":
			line.Endpoint, line.Header = os.Getenv("IDENTITY_ENDPOINT"), os.Getenv("IDENTITY_HEADER")
			line.Error = os.Getenv("MSI_SECRET") // is not inherited
		case "header":
			_ = os.Setenv("IDENTITY_HEADER", value) // a name that is valid
			continue
		case "exit":
			fmt.Fprintln(os.Stderr, "the worker ends")
			os.Exit(7)
		case "wait":
			signals := make(chan os.Signal, 1)
			signal.Notify(signals, syscall.SIGTERM)
			fmt.Println("{}")
			<-signals
			os.Exit(9)
		default:
			line = ask(scope, kind, value)
		}
		if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
			os.Exit(1)
		}
	}
}

// ask gets a token by one of the credentials that need no configuration.
func ask(scope, kind, value string) said {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	o := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}}
	var credential azcore.TokenCredential
	var err error
	switch kind {
	case "client":
		o.ID = azidentity.ClientID(value)
	case "object":
		o.ID = azidentity.ObjectID(value)
	case "resource":
		o.ID = azidentity.ResourceID(value)
	}
	if kind == "default" {
		credential, err = azidentity.NewDefaultAzureCredential(nil)
	} else {
		credential, err = azidentity.NewManagedIdentityCredential(o)
	}
	if err != nil {
		return said{Error: err.Error()}
	}
	token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
	if err != nil {
		return said{Error: err.Error()}
	}
	return said{Token: token.Token, Expires: token.ExpiresOn}
}
