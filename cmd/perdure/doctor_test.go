package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/internal/doctor"
)

// written writes findings for comparison.
func written(all []doctor.Finding) string {
	var lines []string
	for _, f := range all {
		lines = append(lines, strings.TrimSpace(string(f.Severity)+" "+f.Check+" "+filepath.Base(f.Subject)))
	}
	return strings.Join(lines, "; ")
}

func TestExposure(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"":                         "",
		"http://127.0.0.1:8080":    "",
		"http://[::1]:8080":        "",
		"http://localhost:8080":    "",
		"http://[::]:8080":         "critical listener-exposed [::]:8080",
		"http://0.0.0.0:8080":      "critical listener-exposed 0.0.0.0:8080",
		"http://192.168.1.17:8080": "critical listener-exposed 192.168.1.17:8080",
		"https://192.168.1.17":     "",
	} {
		if got := written(exposure(control.Info{URL: url})); got != want {
			t.Errorf("%q: got %q, want %q", url, got, want)
		}
	}
}

func TestEntrances(t *testing.T) {
	t.Parallel()
	guard := control.Requirement{Name: "GET /perdure/v1/", Kind: "management"}
	anybody := control.Requirement{Name: "page", Kind: "http", Anonymous: true}
	for name, test := range map[string]struct {
		items []control.Requirement
		token bool
		want  string
	}{
		"guarded":         {[]control.Requirement{guard}, false, ""},
		"open to anybody": {[]control.Requirement{guard, anybody}, false, "note anonymous page"},
		"a token is left": {[]control.Requirement{guard}, true, "note control-token control.token"},
		"nobody is known": {[]control.Requirement{anybody}, true, "warning no-sign-in ."},
	} {
		folder := t.TempDir()
		if test.token {
			if err := os.WriteFile(filepath.Join(folder, control.TokenFile), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := written(entrances(folder, control.Permissions{Items: test.items})); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	all := []whole[role]{{V: role{ID: "1", Name: "a"}}, {V: role{ID: "2", Name: "b"}}, {V: role{ID: "3", Name: "b"}}, {V: role{ID: "4", Name: "1"}}}
	names := func(r *role) []string { return []string{r.ID, r.Name} }
	for name, want := range map[string]string{"a": "1", "1": "1", "3": "3", "4": "4"} {
		if got, err := pick(all, "role", name, names); err != nil || got.V.ID != want {
			t.Errorf("%q: %v, %v; want %s", name, got, err, want)
		}
	}
	for name, want := range map[string]string{"b": "give the id of the role, which is one of 2, 3", "c": `there is no role "c"`, "": "there is no role"} {
		if _, err := pick(all, "role", name, names); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestSecretFromInput(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"open sesame\n": "open sesame", "open sesame": "open sesame", " a \r\n": " a "} {
		p := &program{in: strings.NewReader(in)}
		if got, err := p.secretFromInput("secret"); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "\n", "hidden\nhidden\n", "hidden\n\n", strings.Repeat("hidden", 1000)} {
		p := &program{in: strings.NewReader(in)}
		if got, err := p.secretFromInput("secret"); err == nil || got != "" || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%.20q: %q, %v", in, got, err)
		}
	}
}
