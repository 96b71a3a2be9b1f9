package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure/perdure/gateway"
)

// The variables that make this program one of the other processes of a test, and a test longer.
const (
	roleVariable = "PERDURE_GATEWAY_ROLE"
	soakVariable = "GATEWAY_SOAK"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "upstream":
		os.Exit(upstreamProcess())
	case "holder":
		os.Exit(holderProcess())
	}
	goleak.VerifyTestMain(m)
}

// soak returns how long a test goes on: short, or what make soak says.
func soak(t *testing.T, short time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(soakVariable)
	if text == "" {
		return short
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", soakVariable, err)
	}
	return d
}

// soaking reports whether this is the long form.
func soaking() bool { return os.Getenv(soakVariable) != "" }

// front is a gateway with and without TLS.
type front struct {
	*running
	plain, secure string // addresses
	roots         *x509.CertPool
}

// open starts a gateway. No handler may panic in it.
func open(t *testing.T, declaration string, change ...func(*gateway.Options)) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pair := issue(t, "gateway.test")
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	change = append([]func(*gateway.Options){func(o *gateway.Options) {
		o.ListenersTLS = []net.Listener{l}
		o.Fallback = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }
		o.Log = slog.New(noPanics{t})
	}}, change...)
	r := start(t, declaration, change...)
	return &front{running: r, plain: strings.TrimPrefix(r.base, "http://"), secure: l.Addr().String(), roots: roots}
}

// noPanics is a log that fails the test when a handler has panicked.
type noPanics struct{ t *testing.T }

func (noPanics) Enabled(context.Context, slog.Level) bool { return true }
func (n noPanics) WithAttrs([]slog.Attr) slog.Handler     { return n }
func (n noPanics) WithGroup(string) slog.Handler          { return n }
func (n noPanics) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "panic") {
		n.t.Error(r.Message)
		r.Attrs(func(a slog.Attr) bool { n.t.Error(a); return true })
	}
	return nil
}

// issue makes a certificate that signs itself.
func issue(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// pemOf is a certificate and its key as text.
func pemOf(t testing.TB, pair tls.Certificate) (cert, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// wire is a client's connection, on which every byte is the test's.
type wire struct {
	net.Conn
	r *bufio.Reader
}

// dial opens a connection that lasts for at most a while.
func dial(address string, most time.Duration) (*wire, error) {
	nc, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	if err := nc.SetDeadline(time.Now().Add(most)); err != nil {
		return nil, err
	}
	return &wire{nc, bufio.NewReader(nc)}, nil
}

func (f *front) dial() *wire {
	f.t.Helper()
	c, err := dial(f.plain, time.Minute)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask sends a request and reads the response; the body is whole if there is no error.
func (c *wire) ask(method, request string) (*http.Response, []byte, error) {
	if _, err := io.WriteString(c, request); err != nil {
		return nil, nil, err
	}
	return c.response(method)
}

func (c *wire) response(method string) (*http.Response, []byte, error) {
	r, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(r.Body)
	return r, body, err
}

// lines joins lines with CRLF, and ends the head.
func lines(l ...string) string { return strings.Join(l, "\r\n") + "\r\n\r\n" }

// client speaks HTTP/1.1 or HTTP/2 by TLS, and nothing else.
func (f *front) client(h2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(h2)
	protocols.SetHTTP1(!h2)
	transport := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: f.roots, ServerName: "gateway.test"}, DisableCompression: true}
	f.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 5 * time.Minute}
}

// pattern is the body that belongs to an id: no other has a part of it.
func pattern(id string, size int) []byte {
	text := []byte(id + ";")
	return bytes.Repeat(text, size/len(text)+1)[:size]
}

func digest(p []byte) string {
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:])
}

// answers is what the upstreams of these tests do: GET /r/ID?n=SIZE is answered by the pattern of that, with framing=chunked in
// chunks and a trailer; POST and PUT /e/ID by the ID, the length of the body, and its digest. Seen is told of each as it arrives.
func answers(seen func(method, id string)) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /r/{id}", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		seen(r.Method, id)
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		w.Header().Set("X-Id", id)
		body := pattern(id, n)
		if r.URL.Query().Get("framing") != "chunked" {
			w.Header().Set("Content-Length", strconv.Itoa(n))
			_, _ = w.Write(body) // the client sees what is missing
			return
		}
		for len(body) > 0 {
			part := min(len(body), 7919)
			_, _ = w.Write(body[:part])
			_ = http.NewResponseController(w).Flush()
			body = body[part:]
		}
		w.Header().Set(http.TrailerPrefix+"X-Digest", digest(pattern(id, n)))
	})
	take := func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		seen(r.Method, id)
		hash := sha256.New()
		n, err := io.Copy(hash, r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Id", id)
		w.Header().Set("X-Trailer", r.Trailer.Get("X-Trailer"))
		_, _ = fmt.Fprintf(w, "%s %d %x", id, n, hash.Sum(nil))
	}
	mux.HandleFunc("POST /e/{id}", take)
	mux.HandleFunc("PUT /e/{id}", take)
	return mux
}

// taken is the answer to a body that was sent.
func taken(id string, body []byte) string {
	return fmt.Sprintf("%s %d %s", id, len(body), digest(body))
}

// upstreamProcess is an upstream in a process of its own. What arrives is written down before it is answered, so that a kill does
// not lose it.
func upstreamProcess() int {
	file, err := os.OpenFile(os.Getenv("PERDURE_GATEWAY_SEEN"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	l, err := net.Listen("tcp", os.Getenv("PERDURE_GATEWAY_ADDRESS"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(l.Addr())
	go func() { // ends with the test, whatever becomes of that
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	err = http.Serve(l, answers(func(method, id string) { _, _ = fmt.Fprintln(file, method, id) }))
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// process is another process of a test.
type process struct {
	*exec.Cmd
	out *bufio.Reader
	in  io.WriteCloser
}

// spawn starts this program in a role.
func spawn(t *testing.T, role string, variables ...string) *process {
	t.Helper()
	p, err := run(role, variables...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

func run(role string, variables ...string) (*process, error) {
	p := &process{Cmd: exec.Command(os.Args[0])}
	p.Env = append(append(os.Environ(), roleVariable+"="+role, "GORACE=atexit_sleep_ms=0"), variables...)
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.in, err = p.StdinPipe(); err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, p.Start()
}

// line is the next that the process says.
func (p *process) line() (string, error) {
	text, err := p.out.ReadString('\n')
	return strings.TrimSpace(text), err
}

// kill ends the process at once, if it has not ended.
func (p *process) kill() {
	_ = p.Process.Kill() // it may have ended
	_ = p.Wait()
}

// serve runs an upstream in this process, and returns its URL.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // requests that were given up
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}
