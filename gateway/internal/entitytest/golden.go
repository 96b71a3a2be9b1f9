// Package entitytest is the test kit of what reads configuration: archives with files of configuration, and
// with what becomes of them.
package entitytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// The files of an archive that say what comes out.
const (
	wantProblems = "want/problems"
	wantConfig   = "want/config"
)

// Read makes a configuration of the files of an archive. Nil is one with errors.
type Read func(t *testing.T, files map[string][]byte) (*entity.Config, []entity.Problem)

// Golden reads each archive that a pattern finds, and compares the problems and the configuration with those
// in it. With update it writes them instead.
func Golden(t *testing.T, pattern string, update bool, read Read) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no archives %s: %v", pattern, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			golden(t, path, update, read)
		})
	}
}

func golden(t *testing.T, path string, update bool, read Read) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	want := map[string]string{}
	kept := archive.Files[:0:0]
	for _, f := range archive.Files {
		if strings.HasPrefix(f.Name, "want/") {
			want[f.Name] = string(f.Data)
			continue
		}
		files[f.Name] = f.Data
		kept = append(kept, f)
	}
	config, problems := read(t, files)
	got := map[string]string{wantProblems: Problems(problems), wantConfig: Dump(t, config)}
	if update {
		for _, name := range []string{wantProblems, wantConfig} {
			kept = append(kept, txtar.File{Name: name, Data: []byte(got[name])})
		}
		archive.Files = kept
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for name, text := range got {
		if text != want[name] {
			t.Errorf("%s: got\n%s\nwant\n%s", name, text, want[name])
		}
	}
}

// Problems writes problems, one a line.
func Problems(problems []entity.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

// Dump writes a configuration, an entity a line: what it is called, where it stands, and the fields that differ
// from those of a new one.
func Dump(t *testing.T, c *entity.Config) string {
	t.Helper()
	if c == nil {
		return ""
	}
	var b strings.Builder
	for e := range c.All() {
		m := entity.MetaOf(e)
		fmt.Fprintf(&b, "%s  (%s)\n", entity.Describe(e), &m.Source)
		defaults := fields(t, fresh(e.Kind()))
		for _, name := range order(t, e) {
			value := fields(t, e)[name]
			if bytes.HasPrefix(value, []byte(`"-----BEGIN`)) {
				value = []byte("(PEM)") // another in each run
			}
			if name == "id" || bytes.Equal(value, defaults[name]) {
				continue
			}
			fmt.Fprintf(&b, "    %s: %s\n", name, value)
		}
	}
	return b.String()
}

// fresh returns an entity with the defaults.
func fresh(k entity.Kind) entity.Entity {
	switch k {
	case entity.Services:
		return entity.NewService()
	case entity.Routes:
		return entity.NewRoute()
	case entity.Consumers:
		return &entity.Consumer{}
	case entity.JWTs:
		return entity.NewJWTCredential()
	case entity.KeyAuths:
		return &entity.KeyAuth{}
	case entity.ACLs:
		return &entity.ACLGroup{}
	case entity.Plugins:
		return entity.NewPlugin()
	case entity.Upstreams:
		return entity.NewUpstream()
	case entity.Targets:
		return entity.NewTarget()
	case entity.Certificates:
		return &entity.Certificate{}
	case entity.SNIs:
		return &entity.SNI{}
	}
	return &entity.CACertificate{}
}

func fields(t *testing.T, e entity.Entity) map[string]json.RawMessage {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// order returns the names of the fields as they are written.
func order(t *testing.T, e entity.Entity) []string {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	_, _ = dec.Token()
	var names []string
	for dec.More() {
		name, _ := dec.Token()
		names = append(names, fmt.Sprint(name))
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return names
}
