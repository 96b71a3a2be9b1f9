package perdure_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func build(t *testing.T, dir, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-mod=mod", "-buildvcs=false", "-o", path, pkg)
	cmd.Dir = dir
	// Whatever a program of this module needs is there; nothing is fetched.
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// program is a server on a folder.
type program struct {
	path, dir string
	env       []string
	values    map[string]string // what answers have named, such as "id", and variables of the shell
	cmd       *exec.Cmd
	address   string // of the running server
}

var ready = regexp.MustCompile(`perdure is ready.* url=http://(\S+)`)

// start starts the program and waits until it is ready.
func (p *program) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	p.cmd = exec.CommandContext(ctx, p.path)
	p.cmd.Dir = p.dir
	p.cmd.Env = append(os.Environ(), "PERDURE_LISTEN=localhost:0", "PERDURE_DATA="+filepath.Join(p.dir, "data"))
	p.cmd.Env = append(p.cmd.Env, p.env...)
	log, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(log); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if m := ready.FindStringSubmatch(lines.Text()); m != nil {
			p.address = m[1]
			go func() { _, _ = io.Copy(io.Discard, log) }() // ends with the program
			return
		}
	}
	t.Fatalf("the program did not become ready:\n%s", said.String())
}

// kill ends the program without a warning.
func (p *program) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = p.cmd.Wait() // it says that the program was killed
}

// curl sends the requests of a console block and compares the answers with what the
// block shows. "…" stands for any text, "{name}" for any on its first use and for that
// text afterwards. A GET is sent again until it is answered so: work goes on behind the
// answers.
func (p *program) curl(t *testing.T, session string) {
	t.Helper()
	for _, part := range regexp.MustCompile(`(?m)^\$ `).Split(session, -1)[1:] {
		command, want, _ := strings.Cut(part, "\n")
		request := parseCurl(t, command)
		for attempt := 0; ; attempt++ {
			got := p.send(t, request)
			if p.matches(strings.TrimSpace(want), strings.TrimSpace(got)) {
				break
			}
			if request.method != http.MethodGet || attempt == 100 {
				t.Fatalf("%s\nanswered\n%s\nthe page shows\n%s", command, got, want)
			}
			<-time.After(100 * time.Millisecond)
		}
	}
}

var placeholder = regexp.MustCompile(`…|\{[a-z]+\}`)

// matches reports whether got is what want shows, and notes what it names.
func (p *program) matches(want, got string) bool {
	var pattern strings.Builder
	var names []string
	at := 0
	for _, m := range placeholder.FindAllStringIndex(want, -1) {
		pattern.WriteString(regexp.QuoteMeta(want[at:m[0]]))
		at = m[1]
		name := strings.Trim(want[m[0]:m[1]], "{}")
		switch known, ok := p.values[name]; {
		case name == "…":
			pattern.WriteString(`.*?`)
		case ok:
			pattern.WriteString(regexp.QuoteMeta(known))
		default:
			pattern.WriteString(`([^"\s]+)`)
			names = append(names, name)
		}
	}
	pattern.WriteString(regexp.QuoteMeta(want[at:]))
	m := regexp.MustCompile(`(?s)\A` + pattern.String() + `\z`).FindStringSubmatch(got)
	if m == nil {
		return false
	}
	for i, name := range names {
		if p.values == nil {
			p.values = map[string]string{}
		}
		p.values[name] = m[i+1]
	}
	return true
}

// curl is a parsed command.
type curl struct {
	method, url, data, file string
	headers                 http.Header
	timeout                 time.Duration // -m
}

// parseCurl understands what the pages use of curl.
func parseCurl(t *testing.T, command string) curl {
	t.Helper()
	c := curl{method: http.MethodGet, headers: http.Header{}}
	words := regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`).FindAllString(command, -1)
	for i := range words {
		words[i] = strings.Trim(words[i], `'"`)
	}
	if len(words) == 0 || words[0] != "curl" {
		t.Fatalf("%q is not a curl command", command)
	}
	for i := 1; i < len(words); i++ {
		next := func() string {
			if i++; i == len(words) {
				t.Fatalf("%q ends early", command)
			}
			return words[i]
		}
		switch words[i] {
		case "-s":
		case "-m":
			seconds, err := strconv.Atoi(next())
			if err != nil {
				t.Fatalf("%q: -m: %v", command, err)
			}
			c.timeout = time.Duration(seconds) * time.Second
		case "-X":
			c.method = next()
		case "-H":
			name, value, _ := strings.Cut(next(), ": ")
			c.headers.Set(name, value)
		case "-d":
			c.method, c.data = http.MethodPost, next()
		case "-F":
			c.method, c.file = http.MethodPost, strings.TrimPrefix(next(), "file=@")
		default:
			if strings.HasPrefix(words[i], "-") || c.url != "" {
				t.Fatalf("%q: the test does not know %s", command, words[i])
			}
			c.url = words[i]
		}
	}
	return c
}

// local is where the pages reach a program.
var local = regexp.MustCompile(`localhost:808[01]\b`)

// send sends a request to the running program and returns what curl would print.
func (p *program) send(t *testing.T, c curl) string {
	t.Helper()
	url := placeholder.ReplaceAllStringFunc(c.url, func(name string) string { return p.values[strings.Trim(name, "{}")] })
	if url = local.ReplaceAllString(url, p.address); !strings.HasPrefix(url, "http://") {
		url = "http://" + url
	}
	body, headers := io.Reader(strings.NewReader(c.data)), http.Header{}
	for name := range c.headers {
		headers.Set(name, os.Expand(c.headers.Get(name), func(variable string) string { return p.values[variable] }))
	}
	if c.file != "" {
		body = p.form(t, c.file, headers)
	}
	req, err := http.NewRequestWithContext(t.Context(), c.method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = headers
	client := http.Client{Timeout: c.timeout}
	res, err := client.Do(req)
	if c.timeout > 0 && os.IsTimeout(err) {
		return "curl: (28) Operation timed out"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), p.address, "localhost:8080")
}

// form writes a file as the form that curl -F sends.
func (p *program) form(t *testing.T, file string, headers http.Header) io.Reader {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", file)
	if err == nil {
		_, err = part.Write(b)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	headers.Set("Content-Type", w.FormDataContentType())
	return &form
}
