package vault_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/queue"
	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault"
)

// The functions of the app in which values are planted.
var (
	plantedRef   = vault.Secret("planted")
	plantedKey   = vault.Key("planted-ec")
	plantedQueue = queue.Of[string]("planted")
	plantedTable = table.Of[string]("written")
	plantedFlow  = durable.NewOrchestration[string, string]("Planted")
	plantedStep  = durable.NewActivity[string, string]("PlantedStep")
	errPlanted   = errors.New("it fails with the value in hand")
)

// holder is a function's input with the secret.
type holder struct {
	Value string `bind:"vault:planted"`
}

// garden is the app, and everything that it has shown.
type garden struct {
	*search
	app    *perdure.App
	data   string
	log    logged
	spans  *tracetest.InMemoryExporter
	client *http.Client
	socket *http.Client
	token  string // of the app itself, which may do everything

	// vault is its URL, and resource what tokens for it are for.
	vault, resource string

	mu    sync.Mutex
	shown map[string][]byte // what was answered, by the request
}

// logged is a log that can be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) text() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

// secretText is a value that no compression makes unreadable, with what JSON escapes.
func secretText() string { return rand.Text() + `"<&\` + rand.Text() }

func openGarden(t *testing.T) *garden {
	t.Helper()
	g := &garden{search: &search{t: t}, data: filepath.Join(t.TempDir(), "data"), spans: tracetest.NewInMemoryExporter(), shown: map[string][]byte{}}
	g.app = perdure.New(perdure.Config{
		Data: g.data, Title: "Garden", Listen: "localhost:0", MasterKey: filepath.Join(t.TempDir(), "master-key"), Development: true,
		Logger:         slog.New(slog.NewJSONHandler(&g.log, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true})),
		TracerProvider: trace.NewTracerProvider(trace.WithSyncer(g.spans)),
		Identity:       &identity.Config{Listen: "localhost:0", API: identity.API{Identifier: "https://garden.example.com"}},
		Vault: &vault.Config{
			Listen: "localhost:0", Audit: vault.Audit{File: filepath.Join(t.TempDir(), "heads")},
			Grants: []vault.Grant{{Member: "self", Role: "administrator"}},
		},
	})
	policy := perdure.Policy{Attempts: 2, Initial: time.Millisecond, Max: time.Millisecond}
	g.app.Add(
		plantedTable,
		perdure.HTTP("GET /hold", func(_ context.Context, in *holder) (*struct{}, error) {
			if in.Value == "" {
				return nil, errors.New("no value")
			}
			return nil, nil
		}),
		perdure.HTTP("GET /fail", func(context.Context, *holder) (*struct{}, error) { return nil, errPlanted }),
		perdure.HTTP("GET /panic", func(context.Context, *holder) (*struct{}, error) { panic("it panics with the value in hand") }),
		perdure.HTTP("POST /strict/{missing}", func(context.Context, *struct {
			holder
			Body struct{ Count int } `body:",strict"`
			Row  *string             `bind:"written/{missing}"`
		}) (*struct{}, error) {
			return nil, nil
		}),
		perdure.HTTP("POST /own", func(ctx context.Context, in *struct {
			Text string `body:""`
		}) (*struct{}, error) {
			// What a user's own code writes into a row is the user's; here it shows that the search finds what is there.
			return nil, plantedTable.Put(ctx, "own/row", &in.Text)
		}),
		perdure.HTTP("POST /begin", func(ctx context.Context, _ *struct{}) (*struct{}, error) {
			if _, err := plantedFlow.Start(ctx, "begin", durable.ID("planted")); err != nil {
				return nil, err
			}
			return nil, plantedQueue.Send(ctx, "begin")
		}),
		perdure.OnQueue(plantedQueue, func(ctx context.Context, in *struct {
			holder
			Body string `body:""`
		}) (*struct{}, error) {
			return nil, errPlanted
		}, policy),
		plantedFlow.Impl(func(ctx *durable.Context, in string) (string, error) { return plantedStep.Call(ctx, in) }),
		plantedStep.Impl(func(ctx context.Context, in string) (string, error) {
			value, err := plantedRef.Get(ctx)
			if err != nil {
				return "", err
			}
			out, _, err := g.app.Vault().Encrypt(ctx, vault.Key("planted-rsa"), vault.Cipher{Alg: "RSA-OAEP-256", Value: []byte(value)})
			if err != nil {
				return "", err
			}
			if out, err = g.app.Vault().Decrypt(ctx, vault.Key("planted-rsa"), *out); err != nil || string(out.Value) != value {
				return "", fmt.Errorf("decrypt: %w", err)
			}
			if _, _, err := g.app.Vault().Sign(ctx, plantedKey, "ES256", make([]byte, 32)); err != nil {
				return "", err
			}
			return "", errPlanted
		}),
	)
	must(t, g.app.Start(t.Context()))
	t.Cleanup(func() { must(t, g.app.Stop(context.Background())) })
	g.client = trusting(t, g.data)
	g.socket = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return control.Dial(ctx, g.data) }}}
	t.Cleanup(g.socket.CloseIdleConnections)
	var vaults struct{ Items []struct{ URL string } }
	must(t, json.Unmarshal(g.operate("GET", "vault/vaults", "", nil), &vaults))
	g.vault = vaults.Items[0].URL
	g.resource = strings.Replace(g.vault, "default.", "", 1)
	token, err := g.app.TokenSource(g.resource).Token()
	must(t, err)
	g.token = token.AccessToken
	return g
}

// trusting is a client that trusts the authority of an app, and finds *.localhost on this machine.
func trusting(t *testing.T, data string) *http.Client {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "ca.pem"))
	must(t, err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatal("no certificate of the authority")
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, network, "localhost:"+port)
		},
	}}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// plant adds a value that must be found nowhere from now on.
func (g *garden) plant(what string, raw []byte) { g.plants = append(g.plants, plant{what, raw}) }

// send sends a request and keeps the answer with its head, unless it is the value's own.
func (g *garden) send(client *http.Client, own bool, method, url, body string, headers map[string]string) (status int, answer []byte) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, url, strings.NewReader(body))
	must(g.t, err)
	r.Header.Set("Content-Type", "application/json")
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	res, err := client.Do(r)
	must(g.t, err)
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	must(g.t, err)
	if !own {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.shown[fmt.Sprintf("the answer %d to %s %s (%d)", res.StatusCode, method, r.URL.Path, len(g.shown))] = fmt.Appendf(answer[:len(answer):len(answer)], "\n%v", res.Header)
	}
	return res.StatusCode, answer
}

// operate asks as the operator of the machine.
func (g *garden) operate(method, path, body string, headers map[string]string) []byte {
	g.t.Helper()
	_, answer := g.send(g.socket, false, method, "http://perdure"+control.Prefix+path, body, headers)
	return answer
}

// ask asks the vault as the app, and wants a status.
func (g *garden) ask(own bool, want int, method, path string, body any) []byte {
	g.t.Helper()
	return g.askAs(g.token, own, want, method, path, body)
}

func (g *garden) askAs(token string, own bool, want int, method, path string, body any) []byte {
	g.t.Helper()
	text, is := body.(string)
	if !is && body != nil {
		b, err := json.Marshal(body)
		must(g.t, err)
		text = string(b)
	}
	status, answer := g.send(g.client, own, method, g.vault+"/"+path+"?"+apiVersion, text, map[string]string{"Authorization": "Bearer " + token})
	if status != want {
		g.t.Errorf("%s %s: %d %.300s, want %d", method, path, status, answer, want)
	}
	return answer
}

// robot is an application without any right, and a token of it.
func (g *garden) robot() (token string) {
	g.t.Helper()
	var app struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	_, made := g.send(g.socket, true, "POST", "http://perdure"+control.Prefix+"identity/api/v2/clients", `{"name":"Robot","app_type":"non_interactive","grant_types":["client_credentials"]}`, nil)
	must(g.t, json.Unmarshal(made, &app))
	g.plant("the secret of an application", []byte(app.Secret))
	// A right on something else lets it have tokens for the vault.
	g.operate("POST", "vault/grants", `{"vault":"default","member":"app:`+app.ID+`","set":"secrets-user","name":"other"}`, nil)
	status, answer := g.send(g.client, true, "POST", g.resource+"/default/oauth2/v2.0/token",
		"grant_type=client_credentials&client_id="+app.ID+"&client_secret="+app.Secret+"&scope="+g.resource+"/.default", map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
	var got struct {
		Token string `json:"access_token"`
	}
	if must(g.t, json.Unmarshal(answer, &got)); status != 200 || got.Token == "" {
		g.t.Fatalf("token: %d %s", status, answer)
	}
	// A wrong one goes with the request that is refused.
	wrong := secretText()
	g.plant("a wrong secret of an application", []byte(wrong))
	g.send(g.client, false, "POST", g.resource+"/default/oauth2/v2.0/token", "grant_type=client_credentials&client_id="+app.ID+"&client_secret="+base64.RawURLEncoding.EncodeToString([]byte(wrong)), map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
	return got.Token
}

// signature is the end of a token, without which it is good for nothing.
func signature(token string) []byte { return []byte(token[strings.LastIndex(token, ".")+1:]) }

// TestPlantedSecrets plants values everywhere where something secret goes in, lets everything be done with them, also what
// fails, and then looks for them in every byte that is left: the data folder and its store, the log at its lowest level, spans, all
// answers but a value's own, metrics, the OpenAPI document, histories and dead letters.
//
// What a user's own code makes of a value is the user's: an error or a row with a secret in it is kept as it is.
func TestPlantedSecrets(t *testing.T) {
	t.Parallel()
	g := openGarden(t)
	own := plant{"what a function has written", []byte("the user's own " + rand.Text())}
	g.plant("a token of the app", signature(g.token))
	robot := g.robot()
	g.plant("a token of an application", signature(robot))
	g.secrets(robot)
	g.keys(robot)
	g.certificates(robot)
	g.headers(robot)
	g.administrate()
	g.functions(string(own.raw))

	g.readAll()
	for where, text := range maps.Clone(g.shown) {
		g.want(where, text)
	}
	g.wantFolder(g.data) // as a backup that is taken now
	must(t, g.app.Stop(t.Context()))
	g.wantFolder(g.data)
	g.wantStore(filepath.Join(g.data, "store"), own)
	g.want("the log", g.log.text())
	if !bytes.Contains(g.log.text(), []byte(errPlanted.Error())) {
		t.Error("the log has not the error of a function: the search finds nothing")
	}
	spans := g.spans.GetSpans()
	for _, span := range spans {
		g.want("the span "+span.Name, fmt.Appendf(nil, "%s %v %+v %+v %+v %v", span.Name, span.Attributes, span.Events, span.Links, span.Status, span.Resource))
	}
	if len(spans) == 0 {
		t.Error("there are no spans")
	}
}

// secrets plants values of secrets.
func (g *garden) secrets(robot string) {
	g.t.Helper()
	value := secretText()
	g.plant("the value of a secret", []byte(value))
	g.ask(true, 200, "PUT", "secrets/planted", map[string]any{"value": value, "tags": map[string]string{"for": "search"}})
	g.ask(true, 200, "GET", "secrets/planted", nil)
	g.ask(false, 200, "GET", "secrets/planted/versions", nil)
	g.ask(false, 200, "GET", "secrets", nil)
	quoted, err := json.Marshal(value)
	must(g.t, err)
	text := string(quoted)
	for _, bad := range []struct {
		status int
		body   string
	}{
		{400, `{"value":` + text},
		{400, `{"value":[` + text + `]}`},
		{400, `{"value":{"value":` + text + `}}`},
		{400, `{"value":` + text + `} ` + text},
		{400, text},
		{400, value},
		{400, `{"value":` + text + `,"attributes":{"exp":` + text + `}}`},
		{400, `{"value":` + text + `,"attributes":` + text + `}`},
		{400, `{"value":` + text + `,"attributes":{"nbf":200,"exp":100}}`},
		{400, `{"value":` + text + `,"tags":` + text + `}`},
		{400, `{"value":` + text + `,"value":` + text + `}`},
		{400, `{"value":"` + strings.Repeat(text[1:len(text)-1], 600) + `"}`},
		{413, `{"value":"` + strings.Repeat(text[1:len(text)-1], 6000) + `"}`},
		{400, "{\"value\":\"" + text[1:len(text)-1] + "\xff\"}"},
		{400, strings.Repeat(`{"value":`, 20) + text + strings.Repeat("}", 20)},
	} {
		g.ask(false, bad.status, "PUT", "secrets/planted", bad.body)
		g.operate("PUT", "vault/items/default/secrets/planted?"+apiVersion, bad.body, nil)
	}
	set := map[string]string{"value": value}
	g.askAs(robot, false, 403, "PUT", "secrets/planted", set)
	g.askAs(robot, false, 403, "GET", "secrets/planted", nil)
	g.askAs("x."+base64.RawURLEncoding.EncodeToString([]byte(value))+".y", false, 401, "PUT", "secrets/planted", set)
	g.ask(false, 400, "PUT", "secrets/bad_name", set)
	g.ask(false, 404, "PUT", "nothing/planted", set)
	g.ask(false, 405, "PATCH", "secrets", set)
	g.ask(false, 400, "POST", "secrets/restore", set)

	second := secretText()
	g.plant("a value of a deleted secret", []byte(second))
	g.ask(true, 200, "PUT", "secrets/gone", map[string]string{"value": second})
	g.ask(true, 200, "PUT", "secrets/gone", map[string]string{"value": second + "2"})
	backup := g.ask(false, 200, "POST", "secrets/gone/backup", nil)
	g.ask(false, 409, "POST", "secrets/restore", string(backup))
	g.ask(false, 200, "DELETE", "secrets/gone", nil)
	g.ask(false, 409, "PUT", "secrets/gone", map[string]string{"value": second})
	g.ask(false, 200, "GET", "deletedsecrets/gone", nil)
	g.ask(false, 200, "GET", "deletedsecrets", nil)
	g.ask(false, 200, "POST", "deletedsecrets/gone/recover", nil)
	g.ask(false, 200, "DELETE", "secrets/gone", nil)
	g.ask(false, 204, "DELETE", "deletedsecrets/gone", nil)
	g.ask(false, 200, "POST", "secrets/restore", string(backup))
	g.ask(false, 200, "PATCH", "secrets/gone", map[string]any{"attributes": map[string]bool{"enabled": false}})
	g.ask(false, 403, "GET", "secrets/gone", nil)

	answer := g.operate("POST", "vault/generated", `{"vault":"default","name":"made","length":40,"alphabet":"base64url"}`, nil)
	var made struct{ Value string }
	must(g.t, json.Unmarshal(g.ask(true, 200, "GET", "secrets/made", nil), &made))
	if made.Value == "" {
		g.t.Fatalf("nothing was made: %s", answer)
	}
	g.plant("a value that was made", []byte(made.Value))
}

// keys plants private keys.
func (g *garden) keys(robot string) {
	g.t.Helper()
	elliptic256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(g.t, err)
	d, err := elliptic256.Bytes()
	must(g.t, err)
	g.plant("a private key of P-256", d)
	point, err := elliptic256.PublicKey.Bytes()
	must(g.t, err)
	jwk := map[string]any{"kty": "EC", "crv": "P-256", "x": octets(point[1:33]), "y": octets(point[33:]), "d": octets(d)}
	g.ask(false, 200, "PUT", "keys/planted-ec", map[string]any{"key": jwk})

	modulus, err := rsa.GenerateKey(rand.Reader, 2048)
	must(g.t, err)
	g.plant("the private exponent of an RSA key", modulus.D.Bytes())
	g.plant("a prime of an RSA key", modulus.Primes[0].Bytes())
	long := map[string]any{
		"kty": "RSA", "n": octets(modulus.N.Bytes()), "e": "AQAB", "d": octets(modulus.D.Bytes()), "p": octets(modulus.Primes[0].Bytes()), "q": octets(modulus.Primes[1].Bytes()),
		"dp": octets(modulus.Precomputed.Dp.Bytes()), "dq": octets(modulus.Precomputed.Dq.Bytes()), "qi": octets(modulus.Precomputed.Qinv.Bytes()),
	}
	g.ask(false, 200, "PUT", "keys/planted-rsa", map[string]any{"key": long})
	symmetric := make([]byte, 32)
	_, _ = rand.Read(symmetric) // never fails
	g.plant("a symmetric key", symmetric)
	g.ask(false, 200, "PUT", "keys/planted-oct", map[string]any{"Hsm": true, "key": map[string]any{"kty": "oct-HSM", "k": octets(symmetric), "key_ops": []string{"encrypt", "decrypt"}}})

	for _, change := range []func(map[string]any){
		func(k map[string]any) { k["x"] = k["d"] },
		func(k map[string]any) { k["crv"] = "P-384" },
		func(k map[string]any) { k["crv"] = k["d"] },
		func(k map[string]any) { k["kty"] = "RSA" },
		func(k map[string]any) { k["d"] = k["d"].(string) + "!" },
		func(k map[string]any) { k["d"] = k["d"].(string) + k["d"].(string) },
		func(k map[string]any) { k["d"] = []any{k["d"]} },
		func(k map[string]any) { k["key_ops"] = k["d"] },
		func(k map[string]any) { delete(k, "kty") },
	} {
		bad := maps.Clone(jwk)
		change(bad)
		g.ask(false, 400, "PUT", "keys/planted-bad", map[string]any{"key": bad})
	}
	g.ask(false, 400, "PUT", "keys/planted-bad", map[string]any{"key": jwk["d"]})
	g.ask(false, 400, "PUT", "keys/planted-bad", map[string]any{"key": long, "attributes": map[string]any{"exportable": true}})
	g.askAs(robot, false, 403, "PUT", "keys/planted-bad", map[string]any{"key": long})
	g.ask(false, 200, "GET", "keys/planted-rsa", nil)
	g.ask(false, 200, "GET", "keys", nil)
	g.ask(false, 200, "POST", "keys/planted-ec/backup", nil)
	g.ask(false, 200, "POST", "keys/planted-ec/sign", map[string]string{"alg": "ES256", "value": octets(make([]byte, 32))})
	g.ask(false, 400, "POST", "keys/planted-ec/sign", map[string]string{"alg": "ES256", "value": octets(d[:16])})
	g.ask(false, 403, "POST", "keys/planted-oct/sign", map[string]string{"alg": "ES256", "value": octets(make([]byte, 32))})

	plain := secretText()
	g.plant("what was encrypted by a key", []byte(plain))
	var sealed map[string]any
	must(g.t, json.Unmarshal(g.ask(false, 200, "POST", "keys/planted-rsa/encrypt", map[string]string{"alg": "RSA-OAEP-256", "value": octets([]byte(plain))}), &sealed))
	g.ask(true, 200, "POST", "keys/planted-rsa/decrypt", map[string]any{"alg": "RSA-OAEP-256", "value": sealed["value"]})
	g.ask(false, 403, "POST", "keys/planted-rsa/encrypt", map[string]string{"alg": "A256GCM", "value": octets([]byte(plain))})
	g.ask(false, 400, "POST", "keys/planted-rsa/encrypt", map[string]string{"alg": "RSA-OAEP-256", "value": octets(bytes.Repeat([]byte(plain), 20))})
	g.ask(false, 400, "POST", "keys/planted-rsa/decrypt", map[string]string{"alg": "RSA-OAEP-256", "value": octets([]byte(plain))})
	g.ask(false, 400, "POST", "keys/planted-oct/encrypt", map[string]string{"alg": "A256GCM", "value": octets([]byte(plain)), "iv": octets([]byte(plain))})
}

func octets(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// certificates plants keys and passwords of certificates.
func (g *garden) certificates(robot string) {
	g.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(g.t, err)
	d, err := key.Bytes()
	must(g.t, err)
	g.plant("the private key of a certificate", d)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "planted"}, NotBefore: time.Now(), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(g.t, err)
	certificate, err := x509.ParseCertificate(der)
	must(g.t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(g.t, err)
	password := secretText()
	g.plant("the password of a PFX", []byte(password))
	pfx, err := pkcs12.Modern2023.Encode(key, certificate, nil, password)
	must(g.t, err)
	value := base64.StdEncoding.EncodeToString(pfx)
	both := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))

	g.ask(false, 200, "POST", "certificates/planted-pfx/import", map[string]string{"value": value, "pwd": password})
	g.ask(false, 200, "POST", "certificates/planted-pem/import", map[string]any{"value": both, "policy": map[string]any{"secret_props": map[string]string{"contentType": "application/x-pem-file"}}})
	g.ask(true, 200, "GET", "secrets/planted-pfx", nil)
	g.ask(true, 200, "GET", "secrets/planted-pem", nil)
	for _, path := range []string{"certificates/planted-pfx", "certificates", "keys/planted-pem", "certificates/planted-pem/policy"} {
		g.ask(false, 200, "GET", path, nil)
	}
	g.ask(false, 200, "POST", "certificates/planted-pfx/backup", nil)
	for _, bad := range []map[string]any{
		{"value": value, "pwd": password + "x"},
		{"value": value, "pwd": []string{password}},
		{"value": value[:200], "pwd": password},
		{"value": password, "pwd": password},
		{"value": both[:len(both)-60] + "\n"},
		{"value": strings.Replace(both, "PRIVATE", "OTHER", 2)},
		{"value": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))},
		{"value": both, "policy": map[string]any{"secret_props": map[string]string{"contentType": "application/x-none"}}},
	} {
		g.ask(false, 400, "POST", "certificates/planted-bad/import", bad)
	}
	g.askAs(robot, false, 403, "POST", "certificates/planted-bad/import", map[string]string{"value": value, "pwd": password})

	account := secretText()
	g.plant("the password of an issuer", []byte(account))
	g.ask(false, 200, "PUT", "certificates/issuers/outside", map[string]any{"provider": "DigiCert", "credentials": map[string]string{"account_id": "planted", "pwd": account}})
	g.ask(false, 200, "GET", "certificates/issuers/outside", nil)
	g.ask(false, 400, "PUT", "certificates/issuers/outside", map[string]any{"provider": []string{account}, "credentials": map[string]string{"pwd": account}})
}

// headers plants what is sent to say who one is, in all ways that are none.
func (g *garden) headers(robot string) {
	g.t.Helper()
	value := rand.Text() + rand.Text()
	g.plant("an Authorization header", []byte(value))
	app := "http://" + g.app.Addr().String()
	for _, url := range []string{app + "/hold", app + "/nothing", app + control.Prefix + "instances", app + "/metrics", g.vault + "/secrets/planted?" + apiVersion, g.vault + "/default/oauth2/v2.0/token"} {
		for _, header := range []string{"Bearer " + value, "Basic " + base64.StdEncoding.EncodeToString([]byte("planted:"+value)), "Bearer  " + value + " x", "DPoP " + value, value} {
			g.send(g.client, false, "GET", url, "", map[string]string{"Authorization": header})
			g.send(g.client, false, "POST", url, "{}", map[string]string{"Authorization": header, "Cookie": "session=" + value, "X-Identity-Header": value})
		}
	}
	g.operate("GET", "instances", "", map[string]string{"Authorization": "Bearer " + value})

	// What is in a URL by mistake is answered to who has sent it, and goes nowhere else.
	mistaken := rand.Text() + rand.Text()
	g.plant("a value in a URL", []byte(mistaken))
	for _, url := range []string{
		g.vault + "/secrets/" + mistaken + "?" + apiVersion, g.vault + "/secrets/planted/" + mistaken + "?" + apiVersion, g.vault + "/" + mistaken + "?" + apiVersion,
		g.vault + "/secrets?api-version=" + mistaken, g.vault + "/secrets?" + apiVersion + "&$skiptoken=" + mistaken, g.vault + "/secrets?" + apiVersion + "&access_token=" + mistaken,
		app + "/hold?access_token=" + mistaken, app + "/nothing/" + mistaken,
	} {
		for _, token := range []string{g.token, robot} {
			g.send(g.client, true, "GET", url, "", map[string]string{"Authorization": "Bearer " + token})
		}
	}
}

// administrate plants what the operator sends.
func (g *garden) administrate() {
	g.t.Helper()
	text, err := os.ReadFile(strings.TrimSpace(g.masterPath()))
	must(g.t, err)
	master := strings.TrimSpace(string(text))
	raw, err := base64.RawURLEncoding.DecodeString(master[strings.LastIndex(master, ".")+1:])
	must(g.t, err)
	g.plant("the master key", raw)
	g.operate("POST", "vault/master/offers", master, nil)
	g.operate("POST", "vault/master/offers", master[:len(master)-3], nil)
	g.operate("POST", "vault/master/rotations", "", nil)
	text, err = os.ReadFile(strings.TrimSpace(g.masterPath()))
	must(g.t, err)
	next := strings.TrimSpace(string(text))
	if raw, err = base64.RawURLEncoding.DecodeString(next[strings.LastIndex(next, ".")+1:]); err != nil || next == master {
		g.t.Errorf("the master key was not rotated: %v", err)
	}
	g.plant("the next master key", raw)
	value := rand.Text() + rand.Text()
	g.plant("what an operator has sent by mistake", []byte(value))
	for _, path := range []string{"generated", "grants", "audit/verifications"} {
		for _, body := range []string{`{"` + "value" + `":"` + value + `"}`, `"` + value + `"`, value, `{"vault":["` + value + `"]}`} {
			g.operate("POST", "vault/"+path, body, nil)
		}
	}
}

func (g *garden) masterPath() string {
	var state struct{ Path string }
	must(g.t, json.Unmarshal(g.operate("GET", "vault/master", "", nil), &state))
	return state.Path
}

// functions lets functions have the value.
func (g *garden) functions(own string) {
	g.t.Helper()
	app := "http://" + g.app.Addr().String()
	for path, want := range map[string]int{"/hold": 204, "/fail": 500, "/panic": 500} {
		if status, answer := g.send(g.client, false, "GET", app+path, "", nil); status != want {
			g.t.Errorf("%s: %d %s, want %d", path, status, answer, want)
		}
	}
	for _, body := range []string{`{"Count":1}`, `{"Count":"x"}`, `{"Other":1}`, `{`} {
		g.send(g.client, false, "POST", app+"/strict/row", body, nil)
	}
	quoted, err := json.Marshal(own)
	must(g.t, err)
	for path, body := range map[string]string{"/own": string(quoted), "/begin": "{}"} {
		if status, answer := g.send(g.client, false, "POST", app+path, body, nil); status >= 300 {
			g.t.Errorf("%s: %d %s", path, status, answer)
		}
	}
	must(g.t, g.app.Settle(g.t.Context()))
}

// readAll reads what the app shows of itself.
func (g *garden) readAll() {
	g.t.Helper()
	app := "http://" + g.app.Addr().String()
	for _, path := range []string{"/metrics", "/openapi.json", "/", "/healthz"} {
		g.send(g.client, false, "GET", app+path, "", nil)
	}
	for path, want := range map[string]string{
		"instances": "planted", "instances/planted": errPlanted.Error(), "instances/planted/history": errPlanted.Error(),
		"deadletters": errPlanted.Error(), "functions": "/hold", "info": "Garden", "tables": "written", "queues": "planted", "permissions": "",
		"vault/audit": "planted", "vault/grants": "secrets-user", "vault/expiring": "", "vault/roles": "crypto-user",
		"identity/api/v2/logs": "",
	} {
		if answer := g.operate("GET", path, "", nil); !bytes.Contains(answer, []byte(want)) {
			g.t.Errorf("%s has not %q: %.300s", path, want, answer)
		}
	}
}
