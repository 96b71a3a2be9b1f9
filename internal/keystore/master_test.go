package keystore_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/perdure/perdure/internal/keystore"
)

func TestMasterIsMadeOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	m, created, err := keystore.OpenMaster(path)
	if err != nil || !created {
		t.Fatalf("created %v: %v", created, err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v: %v", info.Mode(), err)
	}
	again, created, err := keystore.OpenMaster(path)
	if err != nil || created || again != m {
		t.Errorf("second: %v, created %v: %v", again, created, err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("files %v", entries)
	}
	// The form of the environment is that of the file.
	if m2, err := keystore.ParseMaster(string(read(t, path))); err != nil || m2 != m {
		t.Errorf("parsed %v: %v", m2, err)
	}
}

// Many processes that start at once agree on one key.
func TestMasterIsMadeOnceByMany(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	var wg sync.WaitGroup
	made := make([]keystore.Master, 16)
	first := make([]bool, len(made))
	for i := range made {
		wg.Go(func() {
			var err error
			if made[i], first[i], err = keystore.OpenMaster(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	creators := 0
	for i := range made {
		if made[i] != made[0] {
			t.Errorf("%v and %v", made[i], made[0])
		}
		if first[i] {
			creators++
		}
	}
	if creators != 1 {
		t.Errorf("%d made it", creators)
	}
	if _, _, err := keystore.OpenMaster(path); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("files %v", entries)
	}
}

func TestMasterFileIsRefused(t *testing.T) {
	t.Parallel()
	good := keystore.NewMaster().Text() + "\n"
	id := strings.Split(good, ".")[1]
	for name, c := range map[string]struct {
		make func(path string) error
		says string
	}{
		"group may read": {func(p string) error { return file(p, good, 0o640) }, "chmod 600"},
		"all may read":   {func(p string) error { return file(p, good, 0o604) }, "chmod 600"},
		"all may write":  {func(p string) error { return file(p, good, 0o602) }, "chmod 600"},
		"link": {func(p string) error {
			if err := file(p+"2", good, 0o600); err != nil {
				return err
			}
			return os.Symlink(p+"2", p)
		}, "symbolic link"},
		"dangling link": {func(p string) error { return os.Symlink(p+"3", p) }, "symbolic link"},
		"folder":        {func(p string) error { return os.Mkdir(p, 0o700) }, "no regular file"},
		"pipe":          {func(p string) error { return unix.Mkfifo(p, 0o600) }, "no regular file"},
		"empty":         {func(p string) error { return file(p, "", 0o600) }, "put it back from its backup"},
		"large":         {func(p string) error { return file(p, strings.Repeat(good, 1000), 0o600) }, "put back a backup"},
		"other format":  {func(p string) error { return file(p, strings.Replace(good, "key-1", "key-2", 1), 0o600) }, "form perdure-master-key-1.ID.KEY"},
		"cut":           {func(p string) error { return file(p, good[:len(good)-5], 0o600) }, "32 bytes"},
		"other id":      {func(p string) error { return file(p, strings.Replace(good, id, "0123456789abcdef", 1), 0o600) }, "do not belong together"},
		"two lines":     {func(p string) error { return file(p, good+good, 0o600) }, "32 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key")
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(path)
			_, created, err := keystore.OpenMaster(path)
			wantErr(t, err, keystore.ErrMaster, path, c.says)
			key := strings.TrimSpace(strings.Split(good, ".")[2])
			if created || strings.Contains(err.Error(), key[:8]) {
				t.Errorf("created %v: %v", created, err)
			}
			if after, _ := os.Lstat(path); !os.SameFile(before, after) {
				t.Error("the file was replaced")
			}
		})
	}
}

func file(path, text string, perm fs.FileMode) error {
	if err := os.WriteFile(path, []byte(text), perm); err != nil {
		return err
	}
	return os.Chmod(path, perm) // whatever the umask
}

func TestMasterFolderIsMissing(t *testing.T) {
	t.Parallel()
	_, _, err := keystore.OpenMaster(filepath.Join(t.TempDir(), "no", "key"))
	wantErr(t, err, keystore.ErrMaster)
}

func TestMasterPath(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"/srv/data":       "/srv/data.master-key",
		"/srv/data/":      "/srv/data.master-key",
		"/srv//x/../data": "/srv/data.master-key",
		"data":            filepath.Join(here, "data.master-key"),
		"./data//":        filepath.Join(here, "data.master-key"),
		".":               here + ".master-key",
		"..":              filepath.Dir(here) + ".master-key",
	} {
		if got, err := keystore.MasterPath(in); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "/", "//", "/.."} {
		if got, err := keystore.MasterPath(in); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// However a master key is printed, the key is not.
func TestMasterPrintsAsID(t *testing.T) {
	t.Parallel()
	raw := []byte(strings.Repeat("secret..", 4))
	m, err := keystore.MasterFromBytes(raw)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c"} {
		fmt.Fprintf(&out, verb+"\n", m)
		fmt.Fprintf(&out, verb+"\n", &m)
		fmt.Fprintf(&out, verb+"\n", struct{ M keystore.Master }{m})
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "m", m)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "m", m)
	//lint:ignore SA9005 that nothing of it is in the text is what is tested
	b, _ := json.Marshal(m)
	out.Write(b)
	wantNoSecret(t, []byte(out.String()), [][]byte{raw})
	if strings.Contains(out.String(), "115 101 99") || !strings.Contains(out.String(), m.ID()) {
		t.Error(out.String())
	}
	for _, n := range []int{0, 31, 33} {
		_, err := keystore.MasterFromBytes(make([]byte, n))
		wantErr(t, err, keystore.ErrMaster)
	}
}

func FuzzParseMaster(f *testing.F) {
	m := keystore.NewMaster()
	f.Add(m.Text())
	f.Add(m.Text() + "\n")
	f.Add("perdure-master-key-1..")
	f.Add("perdure-master-key-1.0123456789abcdef.AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := keystore.ParseMaster(text)
		if err == nil && m.Text() != strings.TrimSpace(text) {
			t.Errorf("%q is read as %q", text, m.Text())
		}
	})
}
