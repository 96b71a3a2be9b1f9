package kong_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

	"github.com/perdure/perdure/gateway"
	"github.com/perdure/perdure/internal/clock"
)

// serve returns the Admin API over files.
func serve(t testing.TB, files []string, secrets func(*http.Request) bool) http.Handler {
	t.Helper()
	config := gateway.Config{Files: files}.WithDefaults()
	must(t, config.Validate())
	g, err := gateway.New(gateway.Options{Config: config, Secrets: secrets, Clock: clock.System(), Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { must(t, g.Stop(context.Background())) })
	return g.AdminAPI()
}

// differences are what a gateway finds different between two files.
func differences(t testing.TB, old, new string) (all []string) {
	t.Helper()
	changes, err := gateway.Diff([]string{old}, []string{new})
	must(t, err)
	for _, c := range changes {
		all = append(all, c.String())
	}
	return all
}
