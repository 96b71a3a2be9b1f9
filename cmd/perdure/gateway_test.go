package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The commands of the guides to the gateway do what the pages show.
func TestGatewayGuide(t *testing.T) {
	t.Parallel()
	newGatewayPage(t, "orders", "invoices").follow("../../docs/guides/gateway.md")
}

func TestStranglerGuide(t *testing.T) {
	t.Parallel()
	newGatewayPage(t, "old", "new").follow("../../docs/guides/strangler.md")
}

// What README.md shows of the gateway is what the command prints for the files of the guide, "…" aside.
func TestReadmeGateway(t *testing.T) {
	t.Parallel()
	g := newGatewayPage(t, "orders", "invoices")
	guide, readme := g.read("../../docs/guides/gateway.md"), g.read("../../README.md")
	i := slices.IndexFunc(readme, func(b block) bool { return strings.HasPrefix(b.text, "$ perdure gateway run kong.yml") })
	if i < 0 {
		t.Fatal("README.md does not show the gateway")
	}
	g.write(guide[slices.IndexFunc(guide, func(b block) bool { return b.language == "yaml" })].text)
	_, token, _ := strings.Cut(guide[slices.IndexFunc(guide, func(b block) bool { return strings.Contains(b.text, "$ OTHER=") })].text, "$ OTHER=")
	token, _, _ = strings.Cut(token, "\n")
	g.command("TOKEN="+token, "")
	g.session(strings.Replace(readme[i].text, "kong.yml\n", "kong.yml &\n…\n", 1))
}

// gatewayPage follows what a page tells to do: YAML that begins with the name of a file is written to that file, and console blocks are
// commands with what they print, where "…" stands for anything and spaces for any number of them.
type gatewayPage struct {
	t    *testing.T
	dir  string
	env  []string
	real map[string]string // the addresses of the page, and those that are used instead
}

type block struct{ language, text string }

// newGatewayPage starts the servers that the pages speak of, at the ports 9000 and 9100: each answers with its name and what it was
// asked for.
func newGatewayPage(t *testing.T, first, second string) *gatewayPage {
	t.Helper()
	dir := t.TempDir()
	g := &gatewayPage{t: t, dir: dir, real: map[string]string{}, env: append(os.Environ(), "PERDURE_DATA="+filepath.Join(dir, "perdure-data"), "GORACE=atexit_sleep_ms=0")}
	for address, name := range map[string]string{"127.0.0.1:9000": first, "127.0.0.1:9100": second} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, "the %s service was asked for %s\n", name, r.URL) // the test sees what is missing
		}))
		t.Cleanup(server.Close)
		g.real[address] = strings.TrimPrefix(server.URL, "http://")
	}
	return g
}

var blocks = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

func (g *gatewayPage) read(name string) (all []block) {
	g.t.Helper()
	page, err := os.ReadFile(name)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, m := range blocks.FindAllStringSubmatch(string(page), -1) {
		all = append(all, block{m[1], m[2]})
	}
	return all
}

func (g *gatewayPage) follow(name string) {
	g.t.Helper()
	for _, b := range g.read(name) {
		switch b.language {
		case "yaml":
			g.write(b.text)
		case "console":
			g.session(b.text)
		}
	}
}

// write writes a block to the file that its first line names. What is in it must have no mistake.
func (g *gatewayPage) write(text string) {
	g.t.Helper()
	name, ok := strings.CutPrefix(strings.SplitN(text, "\n", 2)[0], "# ")
	if !ok {
		g.t.Fatalf("the block does not begin with # and the name of a file:\n%s", text)
	}
	if err := os.WriteFile(filepath.Join(g.dir, name), []byte(g.ours(text)), 0o600); err != nil {
		g.t.Fatal(err)
	}
	g.command("perdure gateway check --strict "+name, "1 file, 0 warnings: …")
}

func (g *gatewayPage) ours(text string) string {
	for page, real := range g.real {
		text = strings.ReplaceAll(text, page, real)
	}
	return text
}

func (g *gatewayPage) theirs(text string) string {
	for page, real := range g.real {
		text = strings.ReplaceAll(text, real, page)
	}
	return text
}

func (g *gatewayPage) session(text string) {
	g.t.Helper()
	for _, part := range regexp.MustCompile(`(?m)^\$ `).Split(text, -1)[1:] {
		command, want, _ := strings.Cut(part, "\n")
		g.command(command, want)
	}
}

var assignment = regexp.MustCompile(`^[A-Z]+=\S+$`)

func (g *gatewayPage) command(command, want string) {
	g.t.Helper()
	var got string
	switch {
	case assignment.MatchString(command):
		g.env = append(g.env, command)
	case strings.HasPrefix(command, "perdure gateway run ") && strings.HasSuffix(command, "&"):
		got = g.start(strings.Fields(strings.TrimSuffix(command, "&"))[3:])
	case strings.HasPrefix(command, "curl "):
		got = g.curl(command)
	default:
		cmd := exec.CommandContext(g.t.Context(), "sh", "-c", command)
		out, err := g.prepare(cmd).CombinedOutput()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			g.t.Fatal(err)
		}
		got = string(out)
	}
	squeeze := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	got = squeeze(g.theirs(got))
	pattern := strings.NewReplacer(" … ", "(?: .*?)? ", "…", ".*?").Replace(regexp.QuoteMeta(squeeze(want)))
	if !regexp.MustCompile(`\A` + pattern + `\z`).MatchString(got) {
		g.t.Fatalf("%s\nprints\n%s\nthe page shows\n%s", command, got, squeeze(want))
	}
}

func (g *gatewayPage) prepare(cmd *exec.Cmd) *exec.Cmd {
	cmd.Dir, cmd.Env = g.dir, g.env
	return cmd
}

var ready = regexp.MustCompile(`the gateway is ready.*url=http://(\S+)`)

// start runs a gateway until the test ends, and returns what it has printed when it is ready.
func (g *gatewayPage) start(files []string) string {
	g.t.Helper()
	cmd := g.prepare(exec.Command("perdure", append([]string{"gateway", "run", "--listen", "localhost:0"}, files...)...))
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		g.t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	g.t.Cleanup(func() {
		err := cmd.Process.Signal(syscall.SIGTERM)
		rest, readErr := io.ReadAll(lines)
		if err := errors.Join(err, readErr, cmd.Wait()); err != nil {
			g.t.Errorf("the gateway ended: %v\n%s", err, rest)
		}
	})
	var all strings.Builder
	for {
		line, err := lines.ReadString('\n')
		all.WriteString(line)
		if m := ready.FindStringSubmatch(line); m != nil {
			g.real["localhost:8000"], g.real["127.0.0.1:8000"] = m[1], m[1]
			return strings.Replace(all.String(), m[1], "127.0.0.1:8000", 1)
		} else if err != nil {
			g.t.Fatalf("the gateway is not ready: %v\n%s", err, &all)
		}
	}
}

// askGateway is the program "ask" of the scripts: it asks the gateway that has said in run.log where it is for a path, with the header
// fields that are given, and prints the status and the body.
func askGateway() {
	log, err := os.ReadFile("run.log")
	if err == nil {
		err = ask(string(log), os.Args[1], os.Args[2:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func ask(log, path string, fields []string) error {
	m := ready.FindStringSubmatch(log)
	if m == nil {
		return errors.New("the gateway has not said where it is")
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+m[1]+path, nil)
	if err != nil {
		return err
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	fmt.Println(res.StatusCode, string(body))
	return errors.Join(err, res.Body.Close())
}

var curlArguments = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)

// curl does what the pages use of curl. Cookies are kept from one command to the next with -b and -c.
func (g *gatewayPage) curl(command string) string {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, "", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	head := false
	arguments := curlArguments.FindAllString(command, -1)[1:]
	for i := 0; i < len(arguments); i++ {
		a := strings.Trim(arguments[i], `"'`)
		switch a {
		case "-i":
			head = true
		case "-H", "-b":
			i++
			value := os.Expand(strings.Trim(arguments[i], `"'`), g.variable)
			if a == "-b" {
				value = "Cookie: " + value
			}
			name, value, _ := strings.Cut(value, ": ")
			req.Header.Set(name, value)
		default:
			if req.URL, err = req.URL.Parse("http://" + strings.Replace(a, "localhost:8000", g.real["localhost:8000"], 1)); err != nil {
				g.t.Fatal(err)
			}
			req.Host = "localhost:8000"
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		g.t.Fatal(err)
	}
	if !head {
		return string(body)
	}
	var all bytes.Buffer
	_, _ = fmt.Fprintf(&all, "%s %s\n", res.Proto, res.Status) // into memory
	for name, values := range res.Header {
		for _, v := range values {
			lines := strings.ReplaceAll(strings.ReplaceAll(name, "Ratelimit", "RateLimit"), "Www", "WWW")
			_, _ = fmt.Fprintf(&all, "%s: %s\n", lines, v)
		}
	}
	lines := strings.SplitAfter(all.String(), "\n")
	slices.Sort(lines[1 : len(lines)-1])
	return strings.Join(lines, "") + "\n" + string(body)
}

func (g *gatewayPage) variable(name string) string {
	for _, v := range slices.Backward(g.env) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}
