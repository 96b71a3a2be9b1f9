package doctor_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/doctor"
	"github.com/perdure/perdure/internal/keystore"
)

// folder makes a data folder with keys, private as apps make it.
func folder(t *testing.T, path, masterKey string) doctor.Folder {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := keystore.OpenLocal(path, masterKey, keystore.Options{}); err != nil {
		t.Fatal(err)
	}
	return doctor.Folder{Path: path, MasterKey: masterKey}
}

func checked(t *testing.T, f doctor.Folder) []string {
	t.Helper()
	all, err := f.Check()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, one := range all {
		if one.Subject == "" || one.Reason == "" || one.Mend == "" {
			t.Errorf("%s is not explained", one.Check)
		}
		got = append(got, string(one.Severity)+" "+one.Check)
	}
	return got
}

func TestFolder(t *testing.T) {
	t.Parallel()
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(t *testing.T, path string, mode os.FileMode) {
		t.Helper()
		must(t, os.WriteFile(path, []byte("x"), mode))
		must(t, os.Chmod(path, mode)) // whatever the mask is
	}
	for name, test := range map[string]struct {
		change func(t *testing.T, f *doctor.Folder)
		want   string
	}{
		"sound":              {func(*testing.T, *doctor.Folder) {}, ""},
		"others read":        {func(t *testing.T, f *doctor.Folder) { must(t, os.Chmod(f.Path, 0o755)) }, "warning folder-mode"},
		"others write":       {func(t *testing.T, f *doctor.Folder) { must(t, os.Chmod(f.Path, 0o770)) }, "critical folder-mode"},
		"token":              {func(t *testing.T, f *doctor.Folder) { write(t, filepath.Join(f.Path, "control.token"), 0o640) }, "critical file-mode"},
		"private token":      {func(t *testing.T, f *doctor.Folder) { write(t, filepath.Join(f.Path, "control.token"), 0o600) }, ""},
		"keyring":            {func(t *testing.T, f *doctor.Folder) { must(t, os.Chmod(filepath.Join(f.Path, "keyring.json"), 0o604)) }, "critical file-mode"},
		"demo":               {func(t *testing.T, f *doctor.Folder) { write(t, filepath.Join(f.Path, "demo-accounts.json"), 0o600) }, "warning demo-accounts"},
		"master key is read": {func(t *testing.T, f *doctor.Folder) { must(t, os.Chmod(f.Path+".master-key", 0o640)) }, "critical master-key-mode"},
		"master key is gone": {func(t *testing.T, f *doctor.Folder) { must(t, os.Remove(f.Path+".master-key")) }, "critical master-key-missing"},
		"nothing was sealed yet": {func(t *testing.T, f *doctor.Folder) {
			must(t, os.Remove(f.Path+".master-key"))
			must(t, os.Remove(filepath.Join(f.Path, "keyring.json")))
		}, ""},
		"master key inside": {func(t *testing.T, f *doctor.Folder) {
			f.MasterKey = filepath.Join(f.Path, "key")
			must(t, os.Rename(f.Path+".master-key", f.MasterKey))
		}, "critical master-key-inside"},
		"master key inside by a link": {func(t *testing.T, f *doctor.Folder) {
			inside := filepath.Join(f.Path, "key")
			must(t, os.Rename(f.Path+".master-key", inside))
			must(t, os.Symlink(inside, f.Path+".master-key"))
		}, "warning master-key; critical master-key-inside"},
		"another master key": {func(t *testing.T, f *doctor.Folder) {
			other := folder(t, filepath.Join(t.TempDir(), "data"), "")
			must(t, os.Rename(other.Path+".master-key", f.Path+".master-key"))
		}, "critical master-key-wrong"},
		"another folder by the same": {func(t *testing.T, f *doctor.Folder) {
			folder(t, filepath.Join(filepath.Dir(f.Path), "test"), f.Path+".master-key")
		}, "critical master-key-shared"},
		"another folder by its own": {func(t *testing.T, f *doctor.Folder) { folder(t, filepath.Join(filepath.Dir(f.Path), "test"), "") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := folder(t, filepath.Join(t.TempDir(), "data"), "")
			test.change(t, &f)
			if got := strings.Join(checked(t, f), "; "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if _, err := (doctor.Folder{Path: filepath.Join(t.TempDir(), "missing")}).Check(); err == nil {
		t.Error("a folder that is not there is sound")
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	a := doctor.Environment{
		Issuer: "https://a/", MasterKeys: []string{"m"}, SigningKeys: []string{"k", "l"}, Files: map[string]string{"f": "ca.pem"},
		Secrets: map[string]string{"s": "Web"}, Upstreams: map[string]string{"u": "corp"},
	}
	for name, test := range map[string]struct {
		other doctor.Environment
		want  string
	}{
		"nothing":     {doctor.Environment{}, ""},
		"issuer":      {doctor.Environment{Issuer: "https://a/"}, "warning shared-issuer https://a/"},
		"master key":  {doctor.Environment{MasterKeys: []string{"x", "m"}}, "critical shared-master-key m"},
		"signing key": {doctor.Environment{SigningKeys: []string{"l"}}, "critical shared-signing-key l"},
		"file":        {doctor.Environment{Files: map[string]string{"f": "ca.pem"}}, "critical shared-file ca.pem"},
		"secret":      {doctor.Environment{Secrets: map[string]string{"s": "Other"}}, "critical shared-secret Web (there Other)"},
		"upstream":    {doctor.Environment{Upstreams: map[string]string{"u": "corp"}}, "warning shared-upstream corp"},
		"others":      {doctor.Environment{Issuer: "https://b/", SigningKeys: []string{"x"}, Secrets: map[string]string{"x": "Web"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range a.Compare(test.other) {
				got = append(got, string(f.Severity)+" "+f.Check+" "+f.Subject)
			}
			if strings.Join(got, "; ") != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestSeverities(t *testing.T) {
	t.Parallel()
	all := []doctor.Finding{{Check: "a", Severity: doctor.Note}, {Check: "c", Severity: doctor.Critical}, {Check: "b", Severity: doctor.Critical}, {Check: "d", Severity: doctor.Warning}}
	doctor.Sort(all)
	var got []string
	for _, f := range all {
		got = append(got, f.Check)
	}
	if want := []string{"b", "c", "d", "a"}; !slices.Equal(got, want) {
		t.Errorf("sorted: %q, want %q", got, want)
	}
	if doctor.Severity("some").Known() || !doctor.Note.Known() || doctor.Note.AtLeast(doctor.Warning) || !doctor.Critical.AtLeast(doctor.Critical) {
		t.Error("the severities are in no order")
	}
}
