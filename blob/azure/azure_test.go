package azure_test

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"gocloud.dev/blob"

	_ "github.com/perdure/perdure/blob/azure"
	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/cloud"
	"github.com/perdure/perdure/internal/blobstore/drivertest"
)

// program is Azurite, Microsoft's emulator of Azure Storage, where scripts/setup.sh
// puts it.
const program = "../../.cache/azurite/node_modules/azurite/dist/src/blob/main.js"

const account = "account1"

// untilOrphaned runs a program until its standard input ends, as it does when the test
// dies in whatever way.
const untilOrphaned = `
process.stdin.resume().on("end", () => process.exit());
require(require("path").resolve(process.argv[1]));
`

// address is where Azurite listens; empty while it is not installed.
var address string

func TestMain(m *testing.M) {
	flag.Parse()
	stop, err := startAzurite()
	if err != nil {
		fmt.Fprintln(os.Stderr, "azurite:", err)
		os.Exit(1)
	}
	code := m.Run()
	stop()
	os.Exit(code)
}

// startAzurite starts an emulator that keeps everything in memory, with an account of
// its own.
func startAzurite() (stop func(), err error) {
	node, err := exec.LookPath("node")
	if _, statErr := os.Stat(filepath.FromSlash(program)); errors.Join(err, statErr) != nil {
		if os.Getenv("CI") != "" || os.Getenv("PERDURE_TEST_ALL") != "" {
			return nil, fmt.Errorf("it is not installed (%w); run make setup", errors.Join(err, statErr))
		}
		return func() {}, nil
	}
	key := make([]byte, 64)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	secret := base64.StdEncoding.EncodeToString(key)
	for name, value := range map[string]string{
		"AZURE_STORAGE_KEY": secret, "AZURE_STORAGE_ACCOUNT": account, "AZURE_STORAGE_CONNECTION_STRING": "",
		"AZURE_STORAGEBLOB_CONNECTIONSTRING": "", "AZURE_STORAGE_SAS_TOKEN": "", "AZURE_STORAGE_DOMAIN": "",
		"AZURE_STORAGE_PROTOCOL": "", "AZURE_STORAGE_IS_CDN": "", "AZURE_STORAGE_IS_LOCAL_EMULATOR": "",
	} {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(node, "-e", untilOrphaned, "--", filepath.FromSlash(program), "--blobHost", "127.0.0.1", "--blobPort", "0",
		"--inMemoryPersistence", "--disableTelemetry", "--silent", "--skipApiVersionCheck")
	cmd.Env = append(os.Environ(), "AZURITE_ACCOUNTS="+account+":"+secret)
	cmd.Stderr = os.Stderr
	_, inErr := cmd.StdinPipe() // stays open
	out, err := cmd.StdoutPipe()
	if err := errors.Join(inErr, err); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	listens := regexp.MustCompile(`successfully listens on http://(127\.0\.0\.1:\d+)`)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := listens.FindStringSubmatch(lines.Text()); m != nil {
			address = m[1]
			go func() {
				for lines.Scan() { // so that it never waits for a reader
				}
			}()
			return stop, nil
		}
	}
	stop()
	return nil, fmt.Errorf("it ended before it listened: %w", lines.Err())
}

// newContainer makes a container and returns its URL.
func newContainer(t *testing.T) string {
	t.Helper()
	if address == "" {
		t.Skip("azurite is not installed: make setup")
	}
	rawURL := containerURL("c" + strings.ToLower(rand.Text()))
	bucket, err := blob.OpenBucket(t.Context(), rawURL)
	if err != nil {
		t.Fatal(err)
	}
	var client *container.Client
	if !bucket.As(&client) {
		t.Fatal("no client")
	}
	_, err = client.Create(t.Context(), nil)
	if err := errors.Join(err, bucket.Close()); err != nil {
		t.Fatal(err)
	}
	return rawURL
}

func containerURL(name string) string {
	return "azblob://" + name + "?localemu=true&protocol=http&domain=" + address
}

func open(t *testing.T, rawURL, owner string) blobstore.Driver {
	t.Helper()
	d, err := blobstore.Open(t.Context(), rawURL, blobstore.Options{Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDriver(t *testing.T) {
	t.Parallel()
	for name, params := range map[string]string{"container": "", "prefix": "&prefix=app/"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, func(t *testing.T) func() blobstore.Driver {
				place := newContainer(t) + params
				return func() blobstore.Driver { return open(t, place, "owner") }
			})
		})
	}
}

// Each of two stores in one place would take the other's objects for left-overs.
func TestOneOwner(t *testing.T) {
	t.Parallel()
	place := newContainer(t)
	first := open(t, place, "first")
	if err := first.List(t.Context(), func(key string, _ int64, _ time.Time) error {
		return errors.New(key + " is taken for an object")
	}); err != nil {
		t.Error(err)
	}
	if err := errors.Join(first.Close(), open(t, place, "first").Close()); err != nil {
		t.Error(err)
	}
	if _, err := blobstore.Open(t.Context(), place, blobstore.Options{Owner: "second"}); !errors.Is(err, cloud.ErrOwned) {
		t.Errorf("another owner: %v, want %v", err, cloud.ErrOwned)
	}
}

func TestContainersThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	place := newContainer(t)
	for what, rawURL := range map[string]string{
		"no such container": containerURL("absent"),
		"password":          strings.Replace(place, "//", "//user:hidden@", 1),
		"unknown parameter": place + "&colour=red",
		"one object":        place + "&key=a",
	} {
		_, err := blobstore.Open(t.Context(), rawURL, blobstore.Options{Owner: "owner"})
		if err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
