package kong_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blang/semver/v4"
	"github.com/kong/go-database-reconciler/pkg/diff"
	"github.com/kong/go-database-reconciler/pkg/dump"
	"github.com/kong/go-database-reconciler/pkg/file"
	"github.com/kong/go-database-reconciler/pkg/state"
	"github.com/kong/go-kong/kong"
)

// dumped is what the engine of decK reads from a gateway.
func dumped(t *testing.T, client *kong.Client, tags ...string) *state.KongState {
	t.Helper()
	raw, err := dump.Get(t.Context(), client, dump.Config{SelectorTags: tags, IsConsumerGroupScopedPluginSupported: true})
	must(t, err)
	s, err := state.Get(raw)
	must(t, err)
	return s
}

// planned is what decK would change in a gateway to make it what a file says.
func planned(t *testing.T, client *kong.Client, path string) (diff.Stats, string) {
	t.Helper()
	current := dumped(t, client)
	content, err := file.GetContentFromFiles([]string{path}, false)
	must(t, err)
	raw, err := file.Get(t.Context(), content, file.RenderConfig{CurrentState: current, KongVersion: semver.MustParse("3.9.0")}, dump.Config{}, client)
	must(t, err)
	target, err := state.Get(raw)
	must(t, err)
	var lines []string
	note := func(a ...any) { lines = append(lines, strings.TrimSpace(fmt.Sprintln(a...))) }
	syncer, err := diff.NewSyncer(diff.SyncerOpts{
		CurrentState: current, TargetState: target, KongClient: client, SilenceWarnings: true,
		CreatePrintln: note, UpdatePrintln: note, DeletePrintln: note,
	})
	must(t, err)
	stats, errs, _ := syncer.Solve(t.Context(), 1, true, false)
	for _, err := range errs {
		t.Error(err)
	}
	return stats, strings.Join(lines, "\n")
}

func changes(s diff.Stats) int32 {
	return s.CreateOps.Count() + s.UpdateOps.Count() + s.DeleteOps.Count()
}

// A file and the gateway that reads it are the same to decK: what the schemas announce as defaults is what is there.
func TestDiffOfFile(t *testing.T) {
	t.Parallel()
	path := declaration(t)
	client := open(t, true, path)
	if stats, lines := planned(t, client, path); changes(stats) != 0 {
		t.Errorf("decK would change %d:\n%s", changes(stats), lines)
	}

	text, err := os.ReadFile(path)
	must(t, err)
	other := filepath.Join(t.TempDir(), "kong.yml")
	must(t, os.WriteFile(other, []byte(strings.NewReplacer("minute: 5", "minute: 6", "- username: bob", "- username: carol", "other-secret", "new-secret").Replace(string(text))), 0o600))
	stats, lines := planned(t, client, other)
	if stats.CreateOps.Count() != 2 || stats.UpdateOps.Count() != 1 || stats.DeleteOps.Count() != 2 { // a consumer with a key each; a limit
		t.Errorf("decK would create %d, update %d, delete %d:\n%s", stats.CreateOps.Count(), stats.UpdateOps.Count(), stats.DeleteOps.Count(), lines)
	}

	if stats, _ := planned(t, open(t, false, path), path); changes(stats) == 0 {
		t.Error("without secrets nothing is different")
	}
}

// needed are the settings that plugins cannot do without.
var needed = map[string]string{
	"acl": "{allow: [staff]}", "ip-restriction": "{deny: [10.0.0.1]}", "openid-connect": "{issuer: https://issuer.example.com}", "rate-limiting": "{hour: 5}",
	"mtls-auth": "{ca_certificates: [" + authorityID + "]}",
	"canary":    "{upstream_host: new.example.com}",
}

// Each plugin's schema announces the defaults that it has.
func TestDiffOfPlugins(t *testing.T) {
	t.Parallel()
	path := declaration(t)
	root, err := open(t, true, path).Root(t.Context())
	must(t, err)
	text, err := os.ReadFile(path)
	must(t, err)
	plugins := "services:\n- name: all\n  host: 127.0.0.1\n  plugins:\n"
	available := root["plugins"].(map[string]any)["available_on_server"].(map[string]any)
	for name := range available {
		plugins += "  - name: " + name + "\n"
		if config := needed[name]; config != "" {
			plugins += "    config: " + config + "\n"
		}
	}
	if len(available) < 13 {
		t.Errorf("there are %d plugins", len(available))
	}
	must(t, os.WriteFile(path, []byte(strings.Replace(string(text), "services:\n", plugins, 1)), 0o600))
	if stats, lines := planned(t, open(t, true, path), path); changes(stats) != 0 {
		t.Errorf("decK would change %d:\n%s", changes(stats), lines)
	}
}

// A dump that decK writes is the same configuration, for a gateway that reads it and for decK.
func TestDump(t *testing.T) {
	t.Parallel()
	path := declaration(t)
	client := open(t, true, path)
	written := filepath.Join(t.TempDir(), "dump.yml")
	must(t, file.KongStateToFile(dumped(t, client), file.WriteConfig{Filename: written, FileFormat: file.YAML, WithID: true, KongVersion: "3.9.0"}))
	if found := differences(t, path, written); len(found) > 0 {
		text, _ := os.ReadFile(written)
		t.Errorf("the dump differs: %s\n%s", strings.Join(found, "\n"), text)
	}
	if stats, lines := planned(t, open(t, true, written), path); changes(stats) != 0 {
		t.Errorf("decK would change %d:\n%s", changes(stats), lines)
	}
}

// A dump without ids, as decK writes it by default, finds the entities by their names.
func TestDumpWithoutIDs(t *testing.T) {
	t.Parallel()
	path := declaration(t)
	client := open(t, true, path)
	written := filepath.Join(t.TempDir(), "dump.yml")
	must(t, file.KongStateToFile(dumped(t, client), file.WriteConfig{Filename: written, FileFormat: file.YAML, KongVersion: "3.9.0"}))
	if stats, lines := planned(t, client, written); changes(stats) != 0 {
		t.Errorf("decK would change %d:\n%s", changes(stats), lines)
	}
	if stats, lines := planned(t, open(t, true, written), path); changes(stats) != 0 {
		t.Errorf("decK would change %d:\n%s", changes(stats), lines)
	}
}

// A dump by tags has what has all of them.
func TestDumpByTags(t *testing.T) {
	t.Parallel()
	s := dumped(t, open(t, true, declaration(t)), "weather", "public")
	services, err := s.Services.GetAll()
	must(t, err)
	routes, err := s.Routes.GetAll()
	must(t, err)
	if len(services) != 1 || len(routes) != 0 {
		t.Errorf("%d services and %d routes have both tags", len(services), len(routes))
	}
}
