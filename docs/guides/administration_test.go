package guides_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/perdure/perdure"
)

// The console blocks of administration.md do what they show, one after another, with the app of the guide
// to the sign-in.
func TestAdministrationGuide(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a program")
	}
	page, err := os.ReadFile("administration.md")
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(t)
	// A folder of its own: the doctor looks at what is beside it.
	data := filepath.Join(s.dir, "perdure-data")
	app := ordersApp(perdure.Config{Data: data, Listen: "localhost:0", Logger: slog.New(slog.DiscardHandler)})
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := app.Stop(context.Background()); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	document := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindStringSubmatch(string(page))
	if err := os.WriteFile(filepath.Join(s.dir, "wanted.yaml"), []byte(document[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		for _, part := range regexp.MustCompile(`(?m)^\$ `).Split(block[1], -1)[1:] {
			command, want, _ := strings.Cut(part, "\n")
			s.run(command, want)
		}
	}
}
