package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/perdure/perdure/internal/keystore"
)

// masterVariable has the master key in this test.
const masterVariable = "VAULT_TEST_MASTER"

// TestMasterFromEnvironment: an app whose master key is in its environment takes it out of there, hands it to no program that it
// starts, and lets no other process of its user read it, neither in the environment that the system remembers nor in its memory.
func TestMasterFromEnvironment(t *testing.T) {
	if runtime.GOOS != "linux" || testing.Short() {
		t.Skip("needs Linux, and builds a program")
	}
	t.Parallel()
	w := newWorld(t)
	text := keystore.NewMaster().Reveal()
	key := search{t, []plant{{"the master key", []byte(text[strings.LastIndex(text, ".")+1:])}}}
	as := w.unprivileged()
	w.Attributes = &syscall.SysProcAttr{Credential: as}
	must(t, w.start("VAULT_MASTER=env:"+masterVariable, masterVariable+"="+text))
	// Root may read everything of everybody: who looks is the app's own user.
	look := func(pid int, file string) ([]byte, error) {
		c := exec.CommandContext(t.Context(), "cat", fmt.Sprintf("/proc/%d/%s", pid, file))
		c.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		var failure bytes.Buffer
		c.Stderr = &failure
		out, err := c.Output()
		if err != nil && strings.Contains(failure.String(), "Permission denied") {
			err = fs.ErrPermission
		}
		return out, err
	}
	for _, file := range []string{"environ", "maps"} {
		if out, err := look(w.PID(), file); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("a process of the same user reads %d bytes of %s: %v", len(out), file, err)
		}
	}
	// The same look at a process that does not hide shows that it could see it.
	open := exec.Command("sleep", "60")
	open.Env = []string{masterVariable + "=" + text}
	open.SysProcAttr = &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGKILL}
	must(t, open.Start())
	t.Cleanup(func() { _ = open.Process.Kill(); _ = open.Wait() })
	w.until(func() string { // its environment is there when it runs its program
		if out, err := look(open.Process.Pid, "environ"); err != nil || len(key.in(out)) == 0 {
			return fmt.Sprintf("the environment of another program cannot be read: %v", err)
		}
		return ""
	})

	a := w.ask("GET", "/environment", nil)
	var out struct{ Own, Child []string }
	if a.into(t, &out); !a.ok() || len(out.Own) == 0 || !strings.Contains(strings.Join(out.Child, ""), "PERDURE_DATA=") {
		t.Fatalf("the environment: %v", a.String())
	}
	key.want("the environment of the app, or of a program that it starts", a.body)
	key.wantFolder(w.Data)
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.PID()))
	must(t, err)
	if as.Uid != uint32(os.Getuid()) && !bytes.Contains(limits, []byte(fmt.Sprintf("\nUid:\t%d\t", as.Uid))) {
		t.Errorf("the app runs as another user:\n%s", limits)
	}

	// It opens what it has sealed at the next start, and not without the key.
	if a := w.operate("PUT", "/items/default/secrets/kept?"+apiVersion, map[string]string{"value": "kept"}); !a.ok() {
		t.Fatal(a.String())
	}
	w.Kill()
	if err := w.start("VAULT_MASTER=env:" + masterVariable); err == nil {
		t.Error("it starts without the key")
	}
	must(t, w.start("VAULT_MASTER=env:"+masterVariable, masterVariable+"="+text))
	if a := w.operate("GET", "/items/default/secrets/kept?"+apiVersion, nil); !a.ok() || !bytes.Contains(a.body, []byte(`"value":"kept"`)) {
		t.Error(a.String())
	}
}

// unprivileged is who the app runs as: who runs the tests or, where that is root, nobody, who gets the folders.
func (w *world) unprivileged() *syscall.Credential {
	w.t.Helper()
	if os.Getuid() != 0 {
		return &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid()), NoSetGroups: true}
	}
	nobody, err := user.Lookup("nobody")
	must(w.t, err)
	uid, err := strconv.Atoi(nobody.Uid)
	must(w.t, err)
	gid, err := strconv.Atoi(nobody.Gid)
	must(w.t, err)
	folder := filepath.Dir(w.Data)
	must(w.t, os.Chown(folder, uid, gid))
	for path := folder; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		must(w.t, os.Chmod(path, 0o755))
	}
	must(w.t, os.Chmod(filepath.Dir(w.Binary), 0o755))
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
