package guides_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The console blocks of command.md do what they show, one after another. The app is
// started after those that make it.
func TestCommandGuide(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds programs")
	}
	page, err := os.ReadFile("command.md")
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(t)
	blocks := regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	for _, block := range blocks {
		for _, part := range regexp.MustCompile(`(?m)^\$ `).Split(block[1], -1)[1:] {
			command, want, _ := strings.Cut(part, "\n")
			if strings.Contains(command, "localhost:8080") && s.address == "" {
				s.startApp()
			}
			s.run(command, want)
		}
	}
}

// shell runs the commands of a page.
type shell struct {
	t         *testing.T
	dir, path string
	env       []string
	address   string // of the app, when it runs
}

func newShell(t *testing.T) *shell {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	s := &shell{t: t, dir: filepath.Join(work, "apps"), path: filepath.Join(work, "bin")}
	// What the app needs is there; nothing is fetched.
	s.env = append(os.Environ(), "GOPROXY=off", "GOWORK=off", "GOFLAGS=-buildvcs=false -ldflags=-w", "PERDURE_LISTEN=localhost:0", "PERDURE_DATA=",
		"PATH="+s.path+string(os.PathListSeparator)+os.Getenv("PATH"))
	if err := errors.Join(os.Mkdir(s.dir, 0o700), os.Symlink(root, filepath.Join(work, "perdure"))); err != nil {
		t.Fatal(err)
	}
	command, err := buildCommand()
	if err := errors.Join(err, os.Mkdir(s.path, 0o700), os.Symlink(command, filepath.Join(s.path, "perdure"))); err != nil {
		t.Fatal(err)
	}
	return s
}

// buildCommand builds the command perdure, once for all pages, and returns where it is.
var buildCommand = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "perdure-guides-")
	if err != nil {
		return "", err
	}
	built = folder
	binary := filepath.Join(folder, "perdure")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-w", "-o", binary, "../../cmd/perdure").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build the command: %w\n%s", err, out)
	}
	return binary, err
})

// built is the folder of the command, once it was built.
var built string

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built) // nothing to be done about it
	}
	os.Exit(code)
}

// must runs a program and returns what it printed.
func (s *shell) must(dir, name string, args ...string) string {
	s.t.Helper()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(s.t.Context(), name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, s.env, &out, &errOut
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("%s %v: %v\n%s%s", name, args, err, &out, &errOut)
	}
	return out.String()
}

// startApp builds and starts the app, and waits until it can be managed.
func (s *shell) startApp() {
	s.t.Helper()
	s.must(s.dir, "go", "build", "-o", "app", ".")
	data := filepath.Join(s.dir, "perdure-data")
	s.start(filepath.Join(s.dir, "app"), data)
	token, err := os.ReadFile(filepath.Join(data, "control.token"))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "token"), fmt.Appendf(nil, "Authorization: Bearer %s", token), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// start starts an app that has its data in a folder, and waits until it can be managed.
func (s *shell) start(program, data string) {
	s.t.Helper()
	app := exec.Command(program)
	app.Dir, app.Env = s.dir, s.env
	if err := app.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := errors.Join(app.Process.Signal(syscall.SIGTERM), app.Wait()); err != nil {
			s.t.Errorf("the app ended: %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for {
		if conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(data, "control.sock")); err == nil {
			_ = conn.Close() // it listens
			break
		} else if ctx.Err() != nil {
			s.t.Fatalf("the app does not listen: %v", err)
		}
		<-time.After(50 * time.Millisecond)
	}
	url := regexp.MustCompile(`"url": "http://([^"]+)"`).FindStringSubmatch(s.must(s.dir, filepath.Join(s.path, "perdure"), "ls", "--json"))
	if url == nil {
		s.t.Fatal("the app has no address")
	}
	s.address = url[1]
}

// run runs a command and compares what it prints with what the page shows: "…" stands for
// any text, and spaces for any number of them. One that only looks is run again until it
// sees that: work goes on behind the answers.
func (s *shell) run(command, want string) {
	s.t.Helper()
	if into, rest, ok := strings.Cut(command, " && "); ok && strings.HasPrefix(into, "cd ") {
		s.dir, command = filepath.Join(s.dir, strings.TrimPrefix(into, "cd ")), rest
	}
	pattern := strings.ReplaceAll(regexp.QuoteMeta(spaces(want)), "…", ".*?")
	expected := regexp.MustCompile(`(?s)\A` + pattern + `\z`)
	looks := regexp.MustCompile(`^perdure (ls|get|history|table)|^curl [^X]*$`).MatchString(command)
	for attempt := 0; ; attempt++ {
		var got string
		if rest, ok := strings.CutPrefix(command, "curl "); ok {
			got = s.curl(strings.Fields(rest))
		} else {
			got = s.must(s.dir, "sh", "-c", command)
		}
		if expected.MatchString(spaces(got)) {
			return
		}
		if !looks || attempt == 400 {
			s.t.Fatalf("%s\nprinted\n%s\nthe page shows\n%s", command, got, want)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// curl does what the page uses of curl, and returns the answer.
func (s *shell) curl(args []string) string {
	s.t.Helper()
	method, header := http.MethodGet, ""
	for len(args) > 1 {
		switch args[0] {
		case "-X":
			method = args[1]
		case "-H":
			b, err := os.ReadFile(filepath.Join(s.dir, strings.TrimPrefix(args[1], "@")))
			if err != nil {
				s.t.Fatal(err)
			}
			_, header, _ = strings.Cut(strings.TrimSpace(string(b)), ": ")
		default:
			s.t.Fatalf("the test does not know curl %v", args)
		}
		args = args[2:]
	}
	url := "http://" + strings.Replace(strings.Trim(args[0], "'"), "localhost:8080", s.address, 1)
	req, err := http.NewRequestWithContext(s.t.Context(), method, url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if header != "" {
		req.Header.Set("Authorization", header)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

func spaces(text string) string { return strings.Join(strings.Fields(text), " ") }
