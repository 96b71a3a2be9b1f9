package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// workload is what an engine is configured for, the requests that it gets again and again, and what must be answered.
type workload struct {
	name, title string
	cell        cell
	request     request
	tokens      int // how many different ones the requests have
	status      int
	body        string // "" is not compared
	rate        int    // requests a second, whether they are answered or not; 0 is one after another
	extra       bool   // is measured only if it is asked for
}

// cell is what an engine must do besides proxying.
type cell struct {
	JWT    bool  `json:"jwt,omitempty"`
	Limit  int64 `json:"limit,omitempty"`  // requests an hour of a consumer, or else of an address; 0 is any number
	Routes int   `json:"routes,omitempty"` // 0 is one for all paths
}

// request is what a request has.
type request struct {
	method, path, fields, body string
}

// answer is what the upstream answers.
const answer = `{"hello":"world","numbers":[1,2,3,4,5,6,7,8,9,10]}`

// never is a limit that is not reached.
const never = 100_000_000

// numRoutes is how many routes there are in the workload of many.
const numRoutes = 1000

var plain = request{method: http.MethodGet, path: "/api/things?id=7"}

var workloads = []workload{
	{name: "gateway-plain", title: "plain", request: plain, status: 200, body: answer},
	{name: "gateway-jwt", title: "JWT", request: plain, cell: cell{JWT: true}, tokens: 1, status: 200, body: answer},
	{name: "gateway-jwt-many", title: "JWT, 1,000 tokens", request: plain, cell: cell{JWT: true}, tokens: 1000, status: 200, body: answer},
	{name: "gateway-jwt-limit", title: "JWT and limit", request: plain, cell: cell{JWT: true, Limit: never}, tokens: 1, status: 200, body: answer},
	{name: "gateway-401", title: "401", request: plain, cell: cell{JWT: true}, status: 401},
	{name: "gateway-429", title: "429", request: plain, cell: cell{Limit: 1}, status: 429},
	{name: "gateway-routes", title: "1,000 routes", request: request{method: http.MethodGet}, cell: cell{Routes: numRoutes}, status: 200, body: answer},
	{name: "gateway-pace", title: "plain", request: plain, status: 200, body: answer, rate: 2000},
	{name: "gateway-pace-jwt", title: "JWT", request: plain, cell: cell{JWT: true}, tokens: 1, status: 200, body: answer, rate: 2000},
	{name: "gateway-post", title: "POST", status: 200, body: answer, extra: true,
		request: request{method: http.MethodPost, path: "/api/things", fields: "Content-Type: application/json\r\nContent-Length: 50\r\n", body: answer}},
	{name: "gateway-large", title: "1 MiB", request: request{method: http.MethodGet, path: "/large"}, status: 200, body: large, extra: true},
}

// large is a body of 1 MiB.
var large = strings.Repeat("0123456789abcdef", 1<<16)

// bytes returns the request as it is sent.
func (r request) bytes(token string) []byte {
	authorization := ""
	if token != "" {
		authorization = "Authorization: Bearer " + token + "\r\n"
	}
	return []byte(r.method + " " + r.path + " HTTP/1.1\r\nHost: example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n" + authorization + r.fields + "\r\n" + r.body)
}

// requests returns the different requests of a workload.
func (w *workload) requests(i *issuer) (all [][]byte) {
	if w.cell.Routes > 0 {
		for n := range w.cell.Routes {
			r := w.request
			r.path = routePath(n) + "things?id=7"
			all = append(all, r.bytes(""))
		}
		return all
	}
	if w.tokens == 0 {
		return [][]byte{w.request.bytes("")}
	}
	for n := range w.tokens {
		all = append(all, w.request.bytes(i.tokens[n]))
	}
	return all
}

// routePath is the prefix that a route is for.
func routePath(n int) string { return fmt.Sprintf("/route%04d/", n) }

// The consumer whose tokens are let through.
const (
	issuerName   = "https://issuer.example.com/"
	consumerID   = "5a6f2c1e-8f0d-4c5b-9a51-0d6a1f1b7c11"
	consumerName = "bench"
)

// issuer signs tokens.
type issuer struct {
	key     *rsa.PrivateKey
	public  []byte // PEM
	keyFile string // with the public key
	tokens  []string
}

// newIssuer makes a key and as many tokens as a workload needs.
func newIssuer(dir string) (*issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	i := &issuer{key: key, public: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), keyFile: filepath.Join(dir, "issuer.pem")}
	if err := os.WriteFile(i.keyFile, i.public, 0o644); err != nil {
		return nil, err
	}
	most := 0
	for _, w := range workloads {
		most = max(most, w.tokens)
	}
	for n := range most {
		token, err := i.sign(issuerName, n, time.Now().Add(24*time.Hour))
		if err != nil {
			return nil, err
		}
		i.tokens = append(i.tokens, token)
	}
	return i, nil
}

// sign makes a token as providers make them.
func (i *issuer) sign(name string, n int, expires time.Time) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": name, "sub": fmt.Sprintf("user-%06d", n), "aud": "https://api.example.com/", "client_id": "0d6a1f1b7c11",
		"iat": time.Now().Unix(), "exp": expires.Unix(), "jti": fmt.Sprintf("0d0e9c5c-4c6f-4d0c-8a57-%012d", n), "scope": "read:weather write:weather",
	})
	t.Header["kid"] = "2026-01"
	return t.SignedString(i.key)
}
